"""What can be run: a command, a call of a remote API, or a built-in task."""

from enum import StrEnum

from msgspec import Struct, field


class Builtin(StrEnum):
    """The tasks that every node knows by itself."""

    ROOT_FOLDERS = "root-folders"
    DISK_USE = "disk-use"
    UPTIME = "uptime"
    TOP_MEMORY = "top-memory"


class CommandTask(Struct, frozen=True, tag_field="kind", tag="command"):
    """A shell command, run by ``sh -c`` on the host."""

    command: str


class CallTask(Struct, frozen=True, tag_field="kind", tag="call"):
    """An HTTP request to a registered API base (absolute URL), or to each worker (path)."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


class BuiltinTask(Struct, frozen=True, tag_field="kind", tag="builtin"):
    """A built-in task by its name; ``arguments`` are those that the task documents."""

    name: Builtin
    arguments: dict[str, str] = field(default_factory=dict)


Task = CommandTask | CallTask | BuiltinTask
