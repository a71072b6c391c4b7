"""What is sent to an SSH host for a command that keeps running without its connection.

Two scripts go in one line. The *visitor* is what a session runs: it finds the command's folder or, if it
may, makes it (that ``mkdir`` is the lock: the same line sent again visits instead of starting), has the
keeper started, and passes on what the folder holds until the session ends. The *keeper* leads a session
of its own, runs the command into the two files, and leaves its exit status.

As long as a keeper lives it holds the fifo ``alive`` open. Whoever reads there is told of its end by the
kernel, also after ``kill -9`` or a restart of the host: nobody looks at numbers that may have been reused.
"""

from enum import StrEnum
from typing import Final

from quarterdeck.tasks.output.chunks import Sizes
from quarterdeck.tasks.ssh.ending import ENDER
from quarterdeck.tasks.ssh.shell import shell_line

SPOOL_DAYS: Final = 7
_BLOCK_BYTES: Final = 512


class Visit(StrEnum):
    """What a session does when there is no folder of the run yet."""

    START = "start"
    """Start the command."""
    ATTACH = "attach"
    """Seal the place, so that a line that is still on its way starts nothing any more."""


# Sets d to the folder of the run, or leaves it empty when there is none and none can be made. `-O` and
# `! -L`: below /var/tmp and /tmp somebody else may have made a folder or a link of that name.
_FINDING: Final = """
u=$(id -u) d= made=
case ${XDG_STATE_HOME-} in
/*) s=$XDG_STATE_HOME ;;
*) if [ -d "${HOME-}/." ]; then s=$HOME/.local/state; else s=; fi ;;
esac
find_folder() {
    for b in "$s/quarterdeck" "/var/tmp/quarterdeck-$u" "/tmp/quarterdeck-$u"; do
        if [ -d "$b/$m" ] && [ ! -L "$b" ] && [ -O "$b/$m" ]; then d=$b/$m; return; fi
    done
    return 1
}
make_folder() {
    for b in "$s/quarterdeck" "/var/tmp/quarterdeck-$u" "/tmp/quarterdeck-$u"; do
        [ "$b" != /quarterdeck ] || continue
        [ -d "$b" ] || (umask 077; mkdir -p "$b") 2>/dev/null
        [ -d "$b" ] && [ ! -L "$b" ] && [ -O "$b" ] || continue
        if mkdir -m 700 "$b/$m" 2>/dev/null; then
            if mkfifo -m 600 "$b/$m/alive" "$b/$m/to-out" "$b/$m/to-err" 2>/dev/null; then
                d=$b/$m made=1
                return
            fi
            rm -rf "$b/$m"
        elif [ -d "$b/$m" ] && [ -O "$b/$m" ]; then
            d=$b/$m
            return
        fi
    done
    return 1
}
seal() { find_folder || make_folder; [ -z "$made" ] || : >"$d/never"; }
wait_for_group() {
    n=0
    until [ -e "$d/group" ] || [ -e "$d/never" ]; do
        n=$((n + 1))
        [ "$n" -le 50 ] || return 1
        sleep 0.2 2>/dev/null || sleep 1
    done
}
"""

# `read` on the session's input ends with the session, however that ends; then so do the two tails.
_VISITOR: Final = (
    """
m=$1 w=$2 visit=$3 out=$4 err=$5 blocks=$6 keeper=$7 command=$8
tell() { printf "%s %s\\n" "$w" "$*" >&2; }
size() { echo $(($(wc -c <"$d/$1"))); }
"""
    + _FINDING
    + """
begin() {
    (umask 077; : >"$d/out"; : >"$d/err"; printf "%80s\\n" "" >"$d/ending") || return
    export QUARTERDECK_RUN="$m"
    if setsid -f true 2>/dev/null; then
        x=$(setsid -f sh -c "$keeper" sh "$d" "$blocks" "$command" 9<>"$d/alive" </dev/null)
    elif command -v setsid >/dev/null; then
        x=$(setsid sh -c "$keeper" sh "$d" "$blocks" "$command" 9<>"$d/alive" </dev/null &)
    else
        x=$(sh -c "$keeper" sh "$d" "$blocks" "$command" 9<>"$d/alive" </dev/null &)
    fi
    unset QUARTERDECK_RUN
}
trap : HUP
if [ "$visit" = start ]; then find_folder || make_folder; else seal; fi
[ -n "$d" ] || { tell nowhere; exit 0; }
if [ "$visit$made" = start1 ]; then begin || { : >"$d/never"; tell full "$d"; exit 0; }; fi
wait_for_group || { tell unclear "$d"; exit 0; }
if [ -e "$d/never" ]; then tell never; exit 0; fi
printf "%s\\n" "$w"
tell begun "$d"
tail -c +$((out + 1)) -f "$d/out" 2>/dev/null &
a=$!
tail -c +$((err + 1)) -f "$d/err" >&2 2>/dev/null &
b=$!
(
    exec 8<>"$d/alive" 7<"$d/alive" 8>&-
    read -r x <&7
    end="- $(size out) $(size err) gone"
    if [ -e "$d/end" ]; then read -r end <"$d/end"; fi
    tell end "$end"
) &
c=$!
read -r x
kill "$a" "$b" "$c" 2>/dev/null
"""
)

# `setsid -f` and not `&`: what a shell starts in the background ignores INT and QUIT for good. `tee` goes
# on reading when its file has reached its limit or the disk is full, so the command is never held up. The
# end is written into room that was taken at the start: a full disk does not lose the exit status.
_KEEPER: Final = r"""
d=$1 blocks=$2 command=$3
trap : HUP INT QUIT TERM
p=$$ start=
{ read -r x </proc/$$/stat; } 2>/dev/null && set -- ${x##*) } && p=$3 start=${20}
[ "$p" = "$$" ] || start=
printf "%s %s\n" "$p" "$start" >"$d/group.new"
mv "$d/group.new" "$d/group"
exec >/dev/null 2>&1
size() { echo $(($(wc -c <"$d/$1"))); }
spool() {
    exec 9>&-
    trap "" HUP INT QUIT TERM XFSZ
    ulimit -f "$blocks" || :
    exec tee "$d/$1" <"$d/to-$1"
}
spool out &
a=$!
spool err &
b=$!
tidy() {
    exec 9>&-
    find "${d%/*}/." ! -name . -prune -type d -mtime +6 | while read -r old; do
        x=
        if [ -e "$old/group" ] && [ ! -e "$old/end" ]; then read -r x y <"$old/group"; fi
        if [ -z "$x" ] || ! kill -0 "$x"; then rm -rf "$old"; fi
    done
}
tidy &
sh -c "$command" </dev/null >"$d/to-out" 2>"$d/to-err" 9>&-
status=$?
let_go() {
    exec 9>&-
    x=
    trap "kill \$x; exit" TERM
    sleep 5 &
    x=$!
    wait "$x"
    for each in "$a" "$b"; do
        if read -r x y z parent rest <"/proc/$each/stat" && [ "$parent" = "$$" ]; then kill -KILL "$each"; fi
    done
}
let_go &
c=$!
trap "" HUP INT QUIT TERM
wait "$a"
x=$?
wait "$b"
y=$?
kill "$c"
how=whole
[ "$x$y" = 00 ] || how=short
if [ "$x" -gt 128 ] || [ "$y" -gt 128 ]; then how=open; fi
printf "%s %s %s %s\n" "$status" "$(size out)" "$(size err)" "$how" 1<>"$d/ending"
mv "$d/ending" "$d/end"
"""

# Where there is no /proc, the leader of the group must have the folder among its words.
_ENDING: Final = (
    """
m=$1 tries=$2
"""
    + _FINDING
    + """
seal
[ -n "$d" ] || { echo gone; exit; }
wait_for_group || { echo unknown; exit; }
if [ -e "$d/never" ]; then echo gone; exit; fi
mark=$m group= start= trusted=0
read -r group start <"$d/group"
case $(ps -p "$group" -o args= 2>/dev/null) in *"$m"*) trusted=1 ;; esac
"""
    + ENDER
)
_REMOVAL: Final = (
    """
m=$1 lock=$2
"""
    + _FINDING
    + """
find_folder || exit 0
if [ "$lock" = 1 ]; then rm -f "$d"/*; : >"$d/never"; else rm -rf "$d"; fi
"""
)


def visiting_line(mark: str, word: str, visit: Visit, command: str, *, seen: Sizes, output_bytes: int) -> str:
    """Return the line that starts a command, or finds it, and passes on what came after the bytes seen.

    ``word`` stands before all that the visitor itself says. Each of the two files on the host can become
    a little larger than ``output_bytes``, so that it shows there that the limit was passed.
    """
    blocks = output_bytes // _BLOCK_BYTES + 2
    sent = command if visit is Visit.START else ""
    keeper = _KEEPER if visit is Visit.START else ""
    words = (mark, word, str(visit), str(seen.out), str(seen.err), str(blocks), keeper, sent)
    return shell_line(_VISITOR, *words)


def kept_ending_line(mark: str, grace_seconds: float) -> str:
    """Return the line that ends a kept command, or sees to it that it never starts."""
    return f"{shell_line(_ENDING, mark, str(int(grace_seconds * 10)))} </dev/null"


def removal_line(mark: str, *, is_lock_kept: bool) -> str:
    """Return the line that removes a command's files; the empty folder stays as a lock when asked for."""
    return f"{shell_line(_REMOVAL, mark, str(int(is_lock_kept)))} </dev/null"
