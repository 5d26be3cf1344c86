"""The three accounts in `report.html`: figures, roles, messages, and what is missing by cause."""

from __future__ import annotations

from collections.abc import Iterator

from rtcli.load.reporters.html.markup import table, text, tile, tiles
from rtcli.load.results.accounts import Accounts, SendsAccount, Shortfall, UsersAccount
from rtcli.load.results.model import RunResult
from rtcli.load.results.wording import (
    floor_percent,
    sends_details,
    shortfall_title,
    shortfall_when,
    shortfall_who,
    shortfall_why,
)
from rtcli.units import format_number

_MAX_ROWS = 100


def accounts(result: RunResult) -> str:
    """The section."""
    if result.accounts is None:
        text_of_old = "A result of an earlier version: users and sends were not accounted for."
        return f"<section><h2>Accounts</h2><p>{text_of_old}</p></section>"
    found = result.accounts
    parts = [tiles(_tiles(result, found)), *_roles(found.users), *_sends(found.sends), *_shortfalls(found)]
    note = (
        "A user counts as present when it took part until the end of its part, a message when the server "
        "accepted it, a delivery when it arrived. Excused: prevented by what the scenario itself does."
    )
    return f'<section><h2>Accounts</h2>{"".join(parts)}<p class="dim">{note}</p></section>'


def _tiles(result: RunResult, found: Accounts) -> Iterator[str]:
    figures = (
        (found.users.present, found.users.planned, "users", found.users.judged, found.users.shortfalls),
        (found.sends.accepted, found.sends.due, "messages", found.sends.judged, found.sends.shortfalls),
        (
            found.deliveries.delivered,
            found.deliveries.planned,
            "deliveries",
            found.deliveries.judged,
            found.deliveries.shortfalls,
        ),
    )
    audited = result.audit is not None and bool(result.audit.found)
    for actual, planned, name, judged, shortfalls in figures if found.sends.planned else figures[:1]:
        bad = judged and any(not item.allowed for item in shortfalls)
        bad |= name == "deliveries" and audited
        label = name if judged else f"{name}, not judged"
        yield tile(f"{format_number(actual)} of {format_number(planned)}", label, bad=bad)


def _roles(users: UsersAccount) -> Iterator[str]:
    rows = []
    for role in users.roles:
        required = "not judged" if role.required is None else f"{role.required * 100:g} %"
        share = floor_percent(role.share)
        rows.append(
            (
                text(role.role),
                format_number(role.planned),
                format_number(role.present),
                format_number(role.interrupted),
                f'<span class="badge red">{share}</span>' if role.is_short else share,
                required,
                text(", ".join(f"{it.phase} {floor_percent(it.share)}" for it in role.phases)),
            )
        )
    head = ("role", "planned", "present", "interrupted", "of its time", "required", "by phase")
    if rows:
        yield f"<h3>Users</h3>{table(head, rows)}"


def _sends(sends: SendsAccount) -> Iterator[str]:
    if sends.planned:
        yield f"<h3>Messages</h3><p>{text(sends_details(sends))}</p>"


def _shortfalls(found: Accounts) -> Iterator[str]:
    everything = [*found.users.shortfalls, *found.sends.shortfalls, *found.deliveries.shortfalls]
    if not everything:
        return
    ordered = sorted(everything, key=lambda item: item.allowed)
    rows = [_row(item) for item in ordered[:_MAX_ROWS]]
    head = ("", "missing", "role", "why", "when", "room", "who")
    rest = len(ordered) - _MAX_ROWS
    more = f"<p>{rest} more causes are in summary.json.</p>" if rest > 0 else ""
    yield f"<h3>What is missing</h3>{table(head, rows)}{more}"


def _row(item: Shortfall) -> tuple[str, ...]:
    color, word = ("yellow", "allowed") if item.allowed else ("red", "FAILED")
    if item.by_generator and not item.allowed:
        color, word = "yellow", "generator"
    cells = (
        shortfall_title(item),
        item.role,
        shortfall_why(item),
        shortfall_when(item),
        item.room,
        shortfall_who(item),
    )
    return (f'<span class="badge {color}">{word}</span>', *map(text, cells))
