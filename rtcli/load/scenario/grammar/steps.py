"""The grammar of steps: the short and the full form of each step of a `flow`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rtcli.load.scenario import steps
from rtcli.load.scenario.distributions import Backoff
from rtcli.load.scenario.grammar.common_types import (
    BACKOFF,
    CLOSE_CODE,
    HEADERS,
    HTTP_STATUS,
    KILL,
    PATH,
    RATE,
    RECOVERY,
    ROOM,
    TEXT,
    TIME,
    TIMEOUT,
    Captures,
    DefinitionOf,
    JsonTemplate,
)
from rtcli.load.scenario.grammar.context import FieldType
from rtcli.load.scenario.grammar.field_types import (
    NAME,
    Boolean,
    Choice,
    Integer,
    ListOf,
    PositiveNumber,
    ReferenceTo,
    Text,
)
from rtcli.load.scenario.grammar.sections import ByShape, Converted, Field, MapOf, Section
from rtcli.load.scenario.grammar.step_type import StepForm, StepType


def _check_loop(values: Mapping[str, Any]) -> str:
    return "'loop' takes `times` or `for`, not both" if values.keys() >= {"times", "time"} else ""


def _check_wait(values: Mapping[str, Any]) -> str:
    if len(values.keys() & {"barrier", "signal", "phase"}) != 1:
        return "'wait' needs exactly one of `barrier`, `signal`, `phase`"
    if ("barrier" in values) != ("users" in values):
        return "'wait': `barrier` and `users` belong together"
    return ""


def _check_expect(values: Mapping[str, Any]) -> str:
    if not values.keys() & {"type", "where", "contains"}:
        return "'expect' needs at least one of `type`, `where`, `contains`"
    if values.get("absent") and "capture" in values:
        return "'expect' with `not` has nothing to capture"
    return ""


def _check_schedule(values: Mapping[str, Any]) -> str:
    if "rate" not in values and values.keys() & {"time", "spread"}:
        return "`for` and `spread` need a `rate`"
    return ""


def _section(
    name: str,
    make: Callable[..., Any],
    fields: Mapping[str, Field],
    check: Callable[[Mapping[str, Any]], str] = lambda _: "",
) -> Section:
    def build(**values: Any) -> Any:
        if problem := check(values):
            raise ValueError(problem)
        return make(**values)

    return Section(f"{name!r}", fields, build)


def _short(field_type: FieldType, make: Callable[..., Any], name: str) -> Converted:
    """The short form of a step: a single value, for the field `name`."""
    return Converted(field_type, lambda value: make(**{name: value}))


def _build_choice(*, flow: tuple[steps.Step, ...], weight: float = 1.0) -> steps.Choice:
    return steps.Choice(weight, flow)


def _build_backoff(**values: Any) -> steps.BackoffStep:
    return steps.BackoffStep(backoff=Backoff(**values))


FORMS: dict[str, StepForm] = {}
STEP = StepType(FORMS)
FLOW = ListOf(STEP, min_items=1)

_TIMEOUT = Field(TIMEOUT, "how long to wait before the step counts as failed; 10s")
_ROOM = Field(ROOM, "the room", required=True)
_COUNT = Field(Integer(1), "how many")
_FOR = Field(TIME, "for how long", name="time")
_RATE = Field(RATE, "an open timetable: so often, without waiting for answers")

_CONNECT = _section(
    "connect",
    steps.Connect,
    {
        "rooms": Field(ListOf(ROOM, min_items=1, or_single=True), "rooms of an event stream"),
        "path": Field(TEXT, "instead of the protocol's own path"),
        "headers": Field(HEADERS, "HTTP headers to send"),
        "events": Field(Boolean(), "also personal and broadcast events"),
        "timeout": _TIMEOUT,
    },
)
_JOIN = _section(
    "join",
    steps.Join,
    {
        "room": _ROOM,
        "history": Field(Integer(0, 500), "how many old messages to ask for"),
        "timeout": _TIMEOUT,
    },
)
_LEAVE = _section("leave", steps.Leave, {"room": _ROOM, "timeout": _TIMEOUT})
_SEND = _section(
    "send",
    steps.Send,
    {
        "room": _ROOM,
        "text": Field(TEXT, "what to say, before the audit's token"),
        "size": Field(Integer(1, 16_000), "pad the text to so many characters"),
        "rate": _RATE,
        "spread": Field(Choice.of("even", "poisson"), "how the timetable is spaced; even"),
        "count": _COUNT,
        "for": _FOR,
        "ack": Field(Boolean(), "ask for an acknowledgement; true"),
        "audit": Field(Boolean(), "account for its deliveries; true"),
        "timeout": _TIMEOUT,
    },
    _check_schedule,
)
_TYPING = _section(
    "typing",
    steps.Typing,
    {
        "room": _ROOM,
        "is_typing": Field(Boolean(), "true: began, false: stopped"),
        "rate": _RATE,
        "count": _COUNT,
        "for": _FOR,
    },
    _check_schedule,
)
_EXPECT = _section(
    "expect",
    steps.Expect,
    {
        "type": Field(TEXT, "the frame's `type`"),
        "where": Field(
            MapOf(PATH, TEXT, expected="a mapping of paths to texts"), "what must stand at these paths"
        ),
        "contains": Field(TEXT, "what the frame's text must contain"),
        "within": Field(TIMEOUT, "how long to wait; 5s"),
        "count": _COUNT,
        "not": Field(Boolean(), "no such frame may come", name="absent"),
        "capture": Field(Captures(), "keep what stands at a path as ${session.name}"),
    },
    _check_expect,
)
_LOOP = _section(
    "loop",
    steps.Loop,
    {
        "times": Field(Integer(1), "how often"),
        "for": _FOR,
        "steps": Field(FLOW, "what to repeat", required=True),
    },
    _check_loop,
)
_CHOICE = Section(
    "a choice",
    {
        "weight": Field(PositiveNumber(), "how often, against the others; 1"),
        "steps": Field(FLOW, "what to do then", required=True, name="flow"),
    },
    _build_choice,
)
_WAIT = _section(
    "wait",
    steps.Wait,
    {
        "barrier": Field(NAME, "until `users` have come to the barrier of this name"),
        "users": Field(Integer(2), "how many the barrier waits for"),
        "signal": Field(ReferenceTo("signal"), "until somebody gives this signal"),
        "phase": Field(ReferenceTo("phase"), "until this phase begins"),
        "timeout": Field(TIMEOUT, "how long to wait before the step counts as failed; 60s"),
    },
    _check_wait,
)
_DISCONNECT = _section(
    "disconnect",
    steps.Disconnect,
    {
        "code": Field(CLOSE_CODE, "the close code; 1000"),
        "reason": Field(Text(max_length=100), "the close reason"),
    },
)
_BACKOFF = Section(
    "'backoff'",
    {
        "base": Field(TIMEOUT, "the first delay", required=True),
        "cap": Field(TIMEOUT, "the longest delay", required=True),
        "jitter": Field(Boolean(), "drawn evenly between zero and the delay; true"),
    },
    _build_backoff,
)
_RESUME = _section(
    "resume",
    steps.Resume,
    {"expect": Field(RECOVERY, "what the server must say; any"), "timeout": _TIMEOUT},
)
_HTTP = _section(
    "http",
    steps.Http,
    {
        "method": Field(Choice.of("GET", "POST", "PUT", "PATCH", "DELETE"), "GET when not given"),
        "path": Field(TEXT, "path on the deployment", required=True),
        "json": Field(JsonTemplate(), "the body"),
        "headers": Field(HEADERS, "HTTP headers to send"),
        "status": Field(
            Converted(ListOf(HTTP_STATUS, min_items=1, or_single=True), frozenset),
            "what counts as good; 200, 201, 202, 204",
        ),
        "capture": Field(Captures(), "keep what stands at a path of the response as ${session.name}"),
        "timeout": _TIMEOUT,
    },
)


def _form(
    full: Section, short: Converted | None, example: str, bare: Callable[..., steps.Step] | None = None
) -> StepForm:
    return StepForm(ByShape(full.title, scalar=short, mapping=full), example, bare)


FORMS.update(
    {
        "connect": _form(_CONNECT, None, "{ connect: { rooms: [lobby] } }", steps.Connect),
        "join": _form(_JOIN, _short(ROOM, steps.Join, "room"), "{ join: lobby }"),
        "leave": _form(_LEAVE, _short(ROOM, steps.Leave, "room"), "{ leave: lobby }"),
        "send": _form(_SEND, _short(ROOM, steps.Send, "room"), "{ send: { room: lobby, rate: 2/s } }"),
        "typing": _form(_TYPING, _short(ROOM, steps.Typing, "room"), "{ typing: lobby }"),
        "expect": _form(_EXPECT, _short(TEXT, steps.Expect, "type"), "{ expect: new_message }"),
        "think": StepForm(_short(TIME, steps.Think, "time"), "{ think: uniform(1s, 3s) }"),
        "hold": StepForm(_short(TIME, steps.Hold, "time"), "hold, or { hold: 10s }", steps.Hold),
        "loop": StepForm(
            ByShape("a list of steps", sequence=_short(FLOW, steps.Loop, "steps"), mapping=_LOOP),
            "{ loop: [{ send: lobby }, { think: 1s }] }",
        ),
        "choose": StepForm(
            _short(ListOf(_CHOICE, min_items=2), steps.Choose, "choices"),
            "{ choose: [{ weight: 3, steps: [...] }, { steps: [...] }] }",
        ),
        "wait": _form(_WAIT, None, "{ wait: { phase: storm } }"),
        "signal": StepForm(_short(DefinitionOf("signal"), steps.Signal, "name"), "{ signal: go }"),
        "disconnect": _form(
            _DISCONNECT,
            _short(CLOSE_CODE, steps.Disconnect, "code"),
            "{ disconnect: 1000 }",
            steps.Disconnect,
        ),
        "kill": StepForm(_short(KILL, steps.KillStep, "how"), "{ kill: rst }"),
        "backoff": StepForm(
            ByShape("a back-off", scalar=_short(BACKOFF, steps.BackoffStep, "backoff"), mapping=_BACKOFF),
            "{ backoff: exp(250ms..5s) }",
        ),
        "resume": _form(
            _RESUME, _short(RECOVERY, steps.Resume, "expect"), "{ resume: recovered }", steps.Resume
        ),
        "http": _form(_HTTP, None, "{ http: { path: /healthz } }"),
        "log": StepForm(_short(TEXT, steps.Log, "text"), "{ log: here }"),
    }
)
