"""The script that ends a command on an SSH host with everything it started, and proves it.

It is sent as one line of quoted words and prints its answer as the last line: gone, there or unknown.
"""

from typing import Final

from quarterdeck.tasks.ssh.shell import shell_line

# Needs mark, group, start (of the group's leader, as /proc tells it), trusted and tries.
#
# A process is of the run when it carries the mark, is in the run's group, descends from one that is, or
# was seen to be before its parent died. The group counts only when its leader began at `start` or a
# member carries the mark: its number may belong to somebody else by now. What may not be signalled, as
# after sudo (whose child has no mark, root for its owner, and perhaps a session of its own), is left to
# `sudo -n`; whether that is allowed is tried once, because each refusal stands in a log and may be mailed.
# A process that only waits to be collected by its parent (Z) is gone. Parents are named and signalled before
# their children: a shell whose child is ended before itself goes on with what comes after that child.
#
# Only numbers of processes are given to `kill`, never a group's after a signal: the `kill` of procps, which
# sudo runs, reads `-TERM -1234` as "everything" (-1).
ENDER: Final = r"""
LC_ALL=C
export LC_ALL
carriers() {
    grep -l -s "QUARTERDECK_RUN=$mark" /proc/[0-9]*/environ 2>/dev/null | tr -dc "0-9\n" | tr "\n" " "
}
scan() {
    cat /proc/[0-9]*/stat 2>/dev/null |
        awk -v group="$group" -v start="$start" -v known="$known" -v carried="$(carriers)" -v me="$$" '
        {
            pid = $1
            sub(/^.*\) /, "")
            if ($1 == "Z" || $1 == "X") next
            parent[pid] = $2; pgrp[pid] = $3; born[pid] = $20
        }
        END {
            count = split(carried, list)
            for (i = 1; i <= count; i++) if (list[i] in born) ours[list[i]] = 1
            count = split(known, list)
            for (i = 1; i <= count; i++) {
                split(list[i], one, ":")
                if (one[1] in born && born[one[1]] "" == one[2]) ours[one[1]] = 1
            }
            is_group = group != "" && start != "" && born[group] "" == start
            for (pid in ours) if (group != "" && pgrp[pid] "" == group) is_group = 1
            if (is_group) for (pid in pgrp) if (pgrp[pid] "" == group) ours[pid] = 1
            do {
                more = 0
                for (pid in parent) if (!(pid in ours) && (parent[pid] in ours)) { ours[pid] = 1; more = 1 }
            } while (more)
            for (pid = me; pid in parent; pid = parent[pid]) delete ours[pid]
            print "seen"
            do {
                more = 0
                for (pid in ours) if (!(pid in said) && (!(parent[pid] in ours) || (parent[pid] in said))) {
                    print pid ":" born[pid]
                    said[pid] = more = 1
                }
            } while (more)
        }'
}
look() {
    known=$(scan)
    case $known in
    seen*) known=$(echo ${known#seen}) ;;
    *) echo unknown; exit ;;
    esac
}
numbers() { for each in $known; do echo "${each%%:*}"; done; }
by_sudo() {
    if [ -z "$way" ]; then
        way=none
        if command -v sudo; then
            if sudo -n kill -0 "$$"; then way=kill; elif sudo -n sh -c :; then way=shell; fi
        fi
    fi
    case $way in
    kill) sudo -n kill "-$1" $left ;;
    shell) sudo -n sh -c "kill -$1 $left" ;;
    esac
}
strike() {
    kill "-$1" $(numbers)
    look
    left=
    for each in $(numbers); do
        case $(kill -0 "$each" 2>&1) in *[Pp]ermi*) left="$left $each" ;; esac
    done
    if [ -n "$left" ]; then by_sudo "$1"; fi
} >/dev/null 2>&1 </dev/null
pause() { sleep 0.1 2>/dev/null || { sleep 1; rounds=$((rounds - 9)); }; }
end_all() {
    known= way=
    look
    strike TERM
    rounds=$tries
    while look; [ -n "$known" ] && [ "$rounds" -gt 0 ]; do rounds=$((rounds - 1)); pause; done
    rounds=20
    while [ -n "$known" ] && [ "$rounds" -gt 0 ]; do strike KILL; rounds=$((rounds - 1)); pause; look; done
    if [ -n "$known" ]; then echo there; return; fi
    # Where others are hidden (hidepid), only the group can be asked for.
    if [ -d /proc/1 ]; then echo gone
    elif [ -n "$group" ] && [ "$trusted" = 1 ]; then say_group unknown
    else echo unknown; fi
}
say_group() { if kill -s 0 -- "-$group" 2>&1 | grep -qi "no such"; then echo gone; else echo "$1"; fi; }
end_group() {
    kill -s TERM -- "-$group" 2>/dev/null
    rounds=$tries
    while [ "$(say_group there)" = there ] && [ "$rounds" -gt 0 ]; do rounds=$((rounds - 1)); pause; done
    kill -s KILL -- "-$group" 2>/dev/null
    rounds=20
    while [ "$(say_group there)" = there ] && [ "$rounds" -gt 0 ]; do rounds=$((rounds - 1)); pause; done
    say_group there
}
if [ -r /proc/self/stat ] && [ -r /proc/self/environ ]; then end_all
elif [ -n "$group" ] && [ "$trusted" = 1 ]; then end_group
else echo unknown; fi
"""
_WORDS: Final = "mark=$1 group=$2 start=$3 trusted=$4 tries=$5"


def ending_line(mark: str, group: int | None, grace_seconds: float, *, start: str, is_trusted: bool) -> str:
    """Return the line that ends a command; without a group only what carries the mark, and its children.

    ``is_trusted`` says that the command has not ended, so that its number is surely still its own.
    """
    number = "" if group is None else str(group)
    words = (mark, number, start, str(int(is_trusted)), str(int(grace_seconds * 10)))
    return f"{shell_line(_WORDS + ENDER, *words)} </dev/null"


def proof_in(answer: bytes) -> bool | None:
    """Return what the host answered: all is gone, some of it is there, or neither is known."""
    return {b"gone": True, b"there": False}.get(answer.strip().rpartition(b"\n")[2])
