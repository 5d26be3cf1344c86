"""What the tree looks like, from its imports and definitions: figures, and the picture of the packages.

    scripts/structure                 figures of this clone
    scripts/structure DIR             figures of another checkout (an earlier one, for comparison)
    scripts/structure --picture       make the picture in docs/architecture.md anew

Nothing of the tree is run: files are parsed. TYPE_CHECKING imports and imports inside functions count, too.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- picture: made by scripts/structure --picture -->\n", "<!-- end of picture -->\n"
ROOTS = (
    "server",
    "server/rtcli_server",
    "rtcli",
)  # folders that are packages, in this tree and in earlier ones
LONG_FUNCTION, LONG_FILE = 25, 300
Graph = Mapping[str, AbstractSet[str]]


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, whether it is a package's `__init__`, and what it parses to."""

    name: str
    is_package: bool
    tree: ast.Module
    lines: int

    @property
    def folder(self) -> str:
        """The package that it lies in."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


def read(top: Path) -> dict[str, Module]:
    """All modules of the packages of a checkout, by name."""
    found: dict[str, Module] = {}
    for root in ROOTS:
        folder = top / root
        if not (folder / "__init__.py").exists():
            continue
        for path in sorted(folder.rglob("*.py")):
            parts = [folder.name, *path.relative_to(folder).with_suffix("").parts]
            is_package = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_package else parts)
            text = path.read_text(encoding="utf-8")
            found[name] = Module(name, is_package, ast.parse(text), text.count("\n"))
    return found


def imports(module: Module, known: Mapping[str, Module]) -> set[str]:
    """The modules of the tree that a module imports, itself left out."""
    names: list[str] = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {target for name in names if (target := _resolve(name, known)) is not None} - {module.name}


def _resolve(name: str, known: Mapping[str, Module]) -> str | None:
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def module_graph(modules: Mapping[str, Module]) -> Graph:
    """Who imports whom."""
    return {name: imports(module, modules) for name, module in modules.items()}


def sibling_graphs(modules: Mapping[str, Module], graph: Graph) -> Iterator[tuple[str, Graph]]:
    """For each folder, the imports between what lies directly in it: modules, and folders as wholes."""
    for folder in sorted({module.folder for module in modules.values()}):
        edges: dict[str, set[str]] = defaultdict(set)
        for importer, targets in graph.items():
            for target in targets:
                ends = child(folder, importer), child(folder, target)
                if None not in ends and ends[0] != ends[1]:
                    edges[str(ends[0])].add(str(ends[1]))
        yield folder, edges


def child(folder: str, name: str) -> str | None:
    """What in the folder a module is or belongs to; None: it lies elsewhere, or is its `__init__`."""
    inside = name.removeprefix(f"{folder}.")
    return None if inside == name else f"{folder}.{inside.partition('.')[0]}"


def components(graph: Graph) -> list[set[str]]:
    """The strongly connected components with more than one node: the cycles."""
    nodes = {*graph, *(target for targets in graph.values() for target in targets)}
    reach = {node: _reachable(node, graph) for node in nodes}
    found: list[set[str]] = []
    for node in sorted(nodes):
        ring = {other for other in reach[node] if node in reach[other]}
        if len(ring) > 1 and ring not in found:
            found.append(ring)
    return found


def _reachable(start: str, graph: Graph) -> set[str]:
    seen: set[str] = set()
    todo = [start]
    while todo:
        for target in graph.get(todo.pop(), ()):
            if target not in seen:
                seen.add(target)
                todo.append(target)
    return seen


def longest_chain(graph: Graph, root: str) -> int:
    """How many modules the longest chain of imports has that begins in a package; a cycle is one step."""
    ring_of = {name: index for index, ring in enumerate(components(graph)) for name in ring}

    @cache
    def length(name: str) -> int:
        others = [t for t in graph.get(name, ()) if ring_of.get(t, t) != ring_of.get(name, name)]
        return 1 + max((length(target) for target in others), default=0)

    return max(length(name) for name in graph if name.partition(".")[0] == root)


def functions(modules: Iterable[Module]) -> list[int]:
    """The length of each function and method, in lines, decorators left out."""
    return [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def without_docstring(modules: Iterable[Module]) -> list[str]:
    """Public modules, classes, functions and methods that say nothing; one that overrides need not."""
    return [
        where
        for module in modules
        for where, node in _public(module.name, module.tree)
        if ast.get_docstring(node) is None
    ]


Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _public(name: str, node: Definition) -> Iterator[tuple[str, Definition]]:
    yield name, node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    for inner in node.body:
        if not isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        decorators = {ast.unparse(decorator) for decorator in inner.decorator_list}
        if not inner.name.startswith("_") and not decorators & {"override", "overload"}:
            yield from _public(f"{name}.{inner.name}", inner)


# -- for people ----------------------------------------------------------------------------------------------


def figures(top: Path) -> str:
    """The figures of a checkout, as Markdown."""
    modules = read(top)
    graph = module_graph(modules)
    counts = Counter(module.folder for module in modules.values() if not module.is_package)
    lengths = functions(modules.values())
    files = [module.lines for module in modules.values() if module.lines]
    siblings = dict(sibling_graphs(modules, graph))
    rings = [ring for edges in siblings.values() for ring in components(edges)]
    arrows = sum(
        len(edges[a] & ring) for edges in siblings.values() for ring in components(edges) for a in ring
    )
    roots = sorted({name.partition(".")[0] for name in graph}, reverse=True)
    rows = [
        ("folders; modules", f"{len(counts)}; {sum(counts.values())}"),
        ("modules in the fullest folders", ", ".join(f"{n} {folder}" for folder, n in counts.most_common(6))),
        *((f"longest import chain from {root}", str(longest_chain(graph, root))) for root in roots),
        ("cycles in a folder; arrows in them", f"{len(rings)}; {arrows}"),
        ("lines of a file: median, longest, over 300", _spread(files, LONG_FILE)),
        ("lines of a function: median, longest, over 25", _spread(lengths, LONG_FUNCTION)),
        ("nine of ten functions have at most", f"{statistics.quantiles(lengths, n=10)[-1]:.0f} lines"),
        ("public definitions without a docstring", str(len(without_docstring(modules.values())))),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    lists = "\n".join(f"| {folder} | {n} |" for folder, n in sorted(counts.items()))
    return f"| figure | value |\n|---|---|\n{table}\n\n| folder | modules |\n|---|---|\n{lists}\n"


def _spread(values: list[int], limit: int) -> str:
    return f"{statistics.median(values):.0f}, {max(values)}, {sum(value > limit for value in values)}"


# -- the picture ---------------------------------------------------------------------------------------------


def reduced(graph: Graph) -> dict[str, set[str]]:
    """Leave out each arrow that follows from others: A → C where A → B → C."""
    return {
        node: {
            target
            for target in targets
            if not any(target in _reachable(other, graph) for other in targets - {target})
        }
        for node, targets in graph.items()
    }


PLANS = (
    ("The whole", ("rtcli", "rtcli_server")),
    ("The server", ("rtcli_server",)),
    ("The server's log (`broker`)", ("rtcli_server.broker",)),
    ("The server's `transports`", ("rtcli_server.transports",)),
    ("The load tester", ("rtcli.load",)),
    ("A user of the load tester (`load/users`)", ("rtcli.load.users",)),
)


def picture(top: Path) -> str:
    """The packages and their arrows as Mermaid flowcharts, for docs/architecture.md."""
    modules = read(top)
    graph = module_graph(modules)
    siblings = dict(sibling_graphs(modules, graph))
    charts: list[str] = []
    for title, folders in PLANS:
        edges: dict[str, set[str]] = defaultdict(set)
        for folder in folders:
            for source, targets in siblings[folder].items():
                edges[source] |= targets
        if len(folders) > 1:
            edges = _whole(graph, edges)
        charts.append(f"**{title}**\n\n{_mermaid(reduced(edges))}")
    return "\n".join(charts)


def _whole(graph: Graph, edges: Graph) -> dict[str, set[str]]:
    """The packages of `rtcli`, and the server as one of them."""
    found = {source: set(targets) for source, targets in edges.items() if source.startswith("rtcli.")}
    for importer, targets in graph.items():
        for target in targets:
            ends = [
                "rtcli_server" if name.startswith("rtcli_server") else ".".join(name.split(".")[:2])
                for name in (importer, target)
            ]
            if ends[0] != ends[1] and "rtcli_server" in ends and "rtcli" not in ends:
                found.setdefault(ends[0], set()).add(ends[1])
    return found


def _mermaid(graph: Graph) -> str:
    lines = ["```mermaid", "flowchart TD"]
    lines += [
        f"  {source.split('.')[-1]} --> {target.split('.')[-1]}"
        for source in sorted(graph)
        for target in sorted(graph[source])
    ]
    return "\n".join([*lines, "```", ""])


def page_with(text: str, made: str) -> str:
    """The page with the picture in its place."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}"


def main(arguments: list[str]) -> None:
    """Print figures, or write the picture."""
    if arguments == ["--picture"]:
        PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), picture(ROOT)), encoding="utf-8")
    else:
        sys.stdout.write(figures(Path(arguments[0]) if arguments else ROOT))


if __name__ == "__main__":
    main(sys.argv[1:])
