"""What the edges of runs accept, as typed objects."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Discriminator, Field

from quarterdeck.core.errors import Invalid
from quarterdeck.core.forms import Form, example, parse
from quarterdeck.protocol.tasks import Builtin, BuiltinTask, CallTask, CommandTask, Task
from quarterdeck.tasks.amounts import read_seconds
from quarterdeck.tasks.drafts import HIDDEN
from quarterdeck.tasks.local.builtins import BUILTINS
from quarterdeck.tasks.option_fields import FIELDS, read_options
from quarterdeck.tasks.options import DEFAULT_OUTPUT_BYTES, OnOutputLimit, RunOptions
from quarterdeck.tasks.order_checks import LONGEST_TIMEOUT
from quarterdeck.tasks.output.forms import LogPageQuery
from quarterdeck.tasks.records import PAGE_SIZE
from quarterdeck.tasks.results.query import ResultForm
from quarterdeck.tasks.service import StartRun
from quarterdeck.tasks.states import RunState

PREPARED: Final = "Prepared tasks come with a later version; run a command, a call or a built-in task."
_STATES: Final = ("active", *RunState)


def _state_name(text: str) -> str:
    if text and text not in _STATES:
        raise ValueError(f"Use one of {', '.join(_STATES)}.")
    return text


StateName = Annotated[
    str, AfterValidator(_state_name), Field(json_schema_extra={"enum": ["", *map(str, _STATES)]})
]
ARGUMENT: Final = "arguments."
"""What the form puts before the name of a built-in task's argument."""

Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=10_000)]


class CommandBody(Form, title="CommandTask"):
    """A shell command."""

    kind: Literal["command"]
    command: Annotated[str, Field(min_length=1, max_length=100_000)]


class CallBody(Form, title="CallTask"):
    """A call of a remote API: an address below a registered API base, or a path on each worker."""

    kind: Literal["call"]
    method: Annotated[str, Field(max_length=10)] = "GET"
    url: Annotated[str, Field(min_length=1, max_length=4_000)]
    headers: Annotated[
        dict[Annotated[str, Field(max_length=100)], Annotated[str, Field(max_length=8_000)]],
        Field(max_length=50),
    ] = Field(default_factory=dict)
    body: Annotated[str, Field(max_length=5_000_000)] = ""


class BuiltinBody(Form, title="BuiltinTask"):
    """A task that every worker and the master know by itself."""

    kind: Literal["builtin"]
    name: Builtin
    arguments: Annotated[
        dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=400)]],
        Field(max_length=10),
    ] = Field(default_factory=dict)


class PreparedBody(Form, title="PreparedTask"):
    """A prepared task; not there yet."""

    kind: Literal["prepared"]
    name: str = ""
    fields: dict[str, Any] = Field(
        default_factory=dict
    )  # Any: each prepared task will say what its fields are


TaskBody = Annotated[CommandBody | CallBody | BuiltinBody | PreparedBody, Discriminator("kind")]


class RunListQuery(Form):
    """Filters of the list; ``state`` may also be ``active``."""

    state: StateName = ""
    actor: Annotated[str, Field(max_length=160)] = ""
    host: Annotated[str, Field(max_length=100)] = ""
    kind: Literal["", "command", "call", "builtin"] = ""
    q: Annotated[str, Field(max_length=200)] = ""
    cursor: Annotated[str, Field(pattern=r"^[0-9a-z]{26}$|^$")] = ""
    limit: Annotated[int, Field(ge=1, le=200)] = PAGE_SIZE


class RunPageQuery(LogPageQuery, ResultForm):
    """What the page of a run shows: of its hosts, and of their output.

    ``q`` is looked for in what is shown: in the output of one host, else in the names of the hosts.
    """

    host: Annotated[str, Field(max_length=100)] = ""
    view: Literal["", "table", "map"] = ""
    page: Annotated[int, Field(ge=1, le=1000)] = 1


Seconds = Annotated[int, Field(ge=1, le=LONGEST_TIMEOUT)] | None


class OptionsBody(Form, title="NewRunOptions"):
    """How a run is to be run; see ``RunOptions``."""

    keep_running: bool = False
    connect_seconds: Annotated[int, Field(ge=1, le=300)] | None = None
    first_byte_seconds: Seconds = None
    silence_seconds: Seconds = None
    expires_seconds: Seconds = None
    output_bytes: Annotated[int, Field(ge=1024, le=DEFAULT_OUTPUT_BYTES)] = DEFAULT_OUTPUT_BYTES
    on_output_limit: OnOutputLimit = OnOutputLimit.HALT
    at_once: Annotated[int, Field(ge=1, le=1000)] | None = None
    canary: Annotated[int, Field(ge=0, le=1000)] = 0
    stop_at_failed_percent: Annotated[int, Field(ge=1, le=100)] | None = None


class RunBody(Form, title="NewRun"):
    """A run as programs ask for it."""

    model_config = example(
        {"task": {"kind": "command", "command": "uptime"}, "tags": ["web"], "timeout_seconds": 60}
    )

    task: TaskBody
    hosts: Names = Field(default_factory=list)
    tags: Names = Field(default_factory=list)
    timeout_seconds: Seconds = None
    options: OptionsBody = Field(default_factory=OptionsBody)
    force: bool = False
    reason: Annotated[str, Field(max_length=500)] = ""


def start_of(body: RunBody) -> StartRun:
    """Return what the service takes; raises Invalid for what only later versions can do."""
    return StartRun(
        task=_task(body.task),
        hosts=tuple(dict.fromkeys(body.hosts)),
        tags=tuple(dict.fromkeys(body.tags)),
        timeout_seconds=body.timeout_seconds,
        options=RunOptions(**body.options.model_dump()),
        force=body.force,
        reason=body.reason,
    )


def _task(body: CommandBody | CallBody | BuiltinBody | PreparedBody) -> Task:
    match body:
        case CommandBody():
            return CommandTask(body.command)
        case CallBody():
            return CallTask(body.method.upper(), body.url, dict(body.headers), body.body)
        case BuiltinBody():
            return BuiltinTask(body.name, dict(body.arguments))
        case PreparedBody():
            raise Invalid({"task.kind": PREPARED})


def start_of_page(fields: Mapping[str, str], hosts: list[str], tags: list[str]) -> StartRun:
    """Return what the form on the page says; messages carry the names of its fields."""
    options, faults = read_options(fields)
    wanted: dict[str, Any] = {
        "task": _task_fields(fields),
        "hosts": hosts,
        "tags": tags,
        "options": options,
        "force": fields.get("force") == "true",
        "reason": fields.get("reason", ""),
    }
    if timeout := fields.get("timeout_seconds", "").strip():
        wanted["timeout_seconds"] = _seconds(timeout)
    try:
        start = start_of(parse(RunBody, wanted))
    except Invalid as error:
        raise Invalid(_page_faults(error.fields) | faults) from error
    if faults:
        raise Invalid(faults)
    return start


def _seconds(text: str) -> int | str:
    try:
        return read_seconds(text)
    except Invalid:
        return text  # refused by the field, together with whatever else is wrong


def _page_faults(fields: Mapping[str, str]) -> dict[str, str]:
    """Return what is wrong by the fields of the page; the message of an option names it."""
    named = {_page_name(name): text for name, text in fields.items()}
    return {name: FIELDS[name].mistake if name in FIELDS else text for name, text in named.items()}


def _page_name(name: str) -> str:
    """Return the page's field: ``command`` of ``task.command.command``, ``hosts`` of ``hosts.0``."""
    steps = name.removeprefix("options.").split(".")
    if steps[0] == "task":
        steps = steps[2:] or ["kind"]
    return ".".join(steps[: 2 if steps[0] == "arguments" else 1])


def _task_fields(fields: Mapping[str, str]) -> dict[str, Any]:
    kind = fields.get("kind", "command")
    if kind == "call":
        return {
            "kind": kind,
            "method": fields.get("method", "GET"),
            "url": fields.get("url", "").strip(),
            "headers": read_headers(fields.get("headers", "")),
            "body": fields.get("body", ""),
        }
    if kind == "builtin":
        name = fields.get("name", "")
        return {"kind": kind, "name": name, "arguments": _arguments(name, fields)}
    # A browser sends CR LF for every line end of a textarea; a shell would take the CR as text.
    return {"kind": kind, "command": fields.get("command", "").replace("\r\n", "\n")}


def _arguments(name: str, fields: Mapping[str, str]) -> dict[str, str]:
    """Return the arguments of the chosen task; the form has the fields of all of them."""
    known = BUILTINS[Builtin(name)].arguments if name in set(Builtin) else ()
    given = {argument.name: fields.get(f"{ARGUMENT}{argument.name}", "").strip() for argument in known}
    return {argument: value for argument, value in given.items() if value}


def read_headers(text: str) -> dict[str, str]:
    """Read one ``Name: value`` a line; raises Invalid."""
    headers = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, separator, value = line.partition(":")
        if not separator or not name.strip():
            raise Invalid({"headers": f"Write each header as Name: value; “{line[:40]}” is not."})
        headers[name.strip()] = value.strip()
    return headers


def page_values(task: Task) -> dict[str, str]:
    """Return the fields of the form that would make this task again; hidden values stay out."""
    values = {"kind": str(task.__struct_config__.tag)}
    match task:
        case CommandTask():
            values["command"] = task.command
        case CallTask():
            shown = {name: "" if value == HIDDEN else value for name, value in task.headers.items()}
            values |= {"method": task.method, "url": task.url, "body": task.body}
            values["headers"] = "\n".join(f"{name}: {value}" for name, value in shown.items())
        case BuiltinTask():
            values["name"] = str(task.name)
            values |= {f"{ARGUMENT}{name}": value for name, value in task.arguments.items()}
    return values
