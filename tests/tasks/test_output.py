"""The files that hold the output of runs."""

import os
import resource
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.core.errors import Busy, NotFound
from quarterdeck.tasks.executor import Stream
from quarterdeck.tasks.output.chunks import Chunk, Sizes
from quarterdeck.tasks.output.store import OutputStore

RUN = "01jd8xk3v0abcdefghjkmnpqrs"
pieces = st.lists(st.tuples(st.sampled_from(list(Stream)), st.binary(min_size=1, max_size=40)), max_size=30)


@pytest.fixture
def store(tmp_path: Path) -> OutputStore:
    return OutputStore(tmp_path / "runs")


def write(store: OutputStore, host: str, *parts: tuple[Stream, bytes]) -> None:
    with store.writer(RUN, host) as writer:
        for stream, data in parts:
            writer.append(stream, data)


def joined(chunks: list[Chunk]) -> list[tuple[Stream, bytes]]:
    """The chunks with neighbours of one stream put together."""
    result: list[tuple[Stream, bytes]] = []
    for chunk in chunks:
        if result and result[-1][0] is chunk.stream:
            result[-1] = (chunk.stream, result[-1][1] + chunk.data)
        else:
            result.append((chunk.stream, chunk.data))
    return result


def everything(store: OutputStore) -> list[Chunk]:
    return list(store.chunks_from(RUN, "web1", Sizes()))


def settle(store: OutputStore, host: str) -> None:
    """Let the files look as if nobody had written to them for a while."""
    for stream in Stream:
        if store.path(RUN, host, stream).exists():
            os.utime(store.path(RUN, host, stream), (1, 1))


def test_two_streams_stay_apart_and_exact(store: OutputStore) -> None:
    write(store, "web1", (Stream.OUT, b"a\n"), (Stream.ERR, b"\xff\x00"), (Stream.OUT, b"b"))
    assert store.read(RUN, "web1", Stream.OUT) == b"a\nb"
    assert store.read(RUN, "web1", Stream.ERR) == b"\xff\x00"
    assert store.sizes(RUN, "web1") == Sizes(3, 2)


def test_append_returns_the_offset_in_its_stream(store: OutputStore) -> None:
    with store.writer(RUN, "web1") as writer:
        offsets = [
            writer.append(Stream.OUT, b"abc"),
            writer.append(Stream.ERR, b"x"),
            writer.append(Stream.OUT, b"d"),
        ]
    assert offsets == [0, 0, 3]


def test_a_range_of_bytes_is_read(store: OutputStore) -> None:
    write(store, "web1", (Stream.OUT, b"0123456789"))
    assert store.read(RUN, "web1", Stream.OUT, 3, 6) == b"345"
    assert store.read(RUN, "web1", Stream.OUT, 8) == b"89"
    assert store.read(RUN, "web1", Stream.OUT, 50) == b""


def test_nothing_is_read_where_nothing_was_written(store: OutputStore) -> None:
    assert store.read(RUN, "web1", Stream.OUT) == b""
    assert everything(store) == []
    assert store.sizes(RUN, "web1") == Sizes()


def test_reading_is_in_the_order_of_arrival(store: OutputStore) -> None:
    write(store, "web1", (Stream.OUT, b"one"), (Stream.ERR, b"two"), (Stream.OUT, b"three"))
    chunks = list(store.chunks_from(RUN, "web1", Sizes(3, 1)))
    assert joined(chunks) == [(Stream.ERR, b"wo"), (Stream.OUT, b"three")]
    assert [chunk.offset for chunk in chunks] == [1, 3]


@settings(deadline=None)  # files, on a machine that may be busy
@given(pieces, st.integers(0, 400), st.data())
def test_reading_on_from_any_place_misses_and_repeats_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[tuple[Stream, bytes]],
    limit: int,
    data: st.DataObject,
) -> None:
    store = OutputStore(tmp_path_factory.mktemp("runs"))
    write(store, "web1", *parts)
    total = store.sizes(RUN, "web1")
    seen = Sizes(data.draw(st.integers(0, total.out)), data.draw(st.integers(0, total.err)))
    collected = {stream: store.read(RUN, "web1", stream, 0, seen.of(stream)) for stream in Stream}
    while chunks := store.chunks_after(RUN, "web1", seen, max(limit, 1)):
        assert sum(len(chunk.data) for chunk in chunks) <= max(limit, 1)
        for chunk in chunks:
            assert chunk.offset == seen.of(chunk.stream)
            collected[chunk.stream] += chunk.data
            seen = seen.plus(chunk.stream, len(chunk.data))
    assert collected == {stream: store.read(RUN, "web1", stream) for stream in Stream}


@settings(deadline=None)  # files, on a machine that may be busy
@given(pieces, st.data())
def test_one_stream_is_read_on_from_any_place(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[Stream, bytes]], data: st.DataObject
) -> None:
    store = OutputStore(tmp_path_factory.mktemp("runs"))
    write(store, "web1", *parts)
    for stream in Stream:
        whole = store.read(RUN, "web1", stream)
        start = data.draw(st.integers(0, len(whole)))
        seen = Sizes().plus(stream, start)
        for chunks in (
            store.chunks_from(RUN, "web1", seen, stream),
            store.scan(RUN, "web1", seen, stream),
        ):
            assert b"".join(chunk.data for chunk in chunks) == whole[start:]


def test_neighbours_that_came_apart_in_time_keep_their_times(store: OutputStore) -> None:
    with store.writer(RUN, "web1") as writer:
        for number in range(3):
            writer.append(Stream.OUT, b"%d\n" % number)
    path = store.path(RUN, "web1", Stream.OUT).with_suffix(".idx")
    records = bytearray(path.read_bytes())
    later = int.from_bytes(records[-8:], "little") + 3_000_000
    path.write_bytes(bytes(records[:-8]) + later.to_bytes(8, "little"))
    first, last = everything(store)
    assert (first.data, last.data) == (b"0\n1\n", b"2\n")
    assert (last.time - first.time).total_seconds() > 2


def test_writing_goes_on_after_a_restart(store: OutputStore) -> None:
    write(store, "web1", (Stream.OUT, b"first "))
    write(store, "web1", (Stream.OUT, b"second"))
    assert store.read(RUN, "web1", Stream.OUT) == b"first second"
    assert joined(everything(store)) == [(Stream.OUT, b"first second")]


@pytest.mark.parametrize("torn", [b"\x01", b"\0" * 64, b"\0" * 40])
def test_a_torn_index_loses_no_byte(store: OutputStore, torn: bytes) -> None:
    write(store, "web1", (Stream.OUT, b"kept"), (Stream.ERR, b"too"))
    with store.path(RUN, "web1", Stream.OUT).with_suffix(".idx").open("ab") as index:
        index.write(torn)
    with store.path(RUN, "web1", Stream.OUT).open("ab") as file:
        file.write(b" and this")
    settle(store, "web1")
    assert joined(everything(store)) == [
        (Stream.OUT, b"kept"),
        (Stream.ERR, b"too"),
        (Stream.OUT, b" and this"),
    ]
    write(store, "web1", (Stream.ERR, b"!"))
    assert joined(everything(store))[-1] == (Stream.ERR, b"!")
    assert store.chunks_after(RUN, "web1", Sizes(13, 3), 10)[0].data == b"!"


def test_a_missing_index_loses_no_byte(store: OutputStore) -> None:
    write(store, "web1", (Stream.OUT, b"kept"))
    store.path(RUN, "web1", Stream.OUT).with_suffix(".idx").unlink()
    settle(store, "web1")
    assert joined(everything(store)) == [(Stream.OUT, b"kept")]


@pytest.mark.parametrize(
    ("run", "host"),
    [
        ("../etc", "web1"),
        (RUN, "../../passwd"),
        (RUN, ".."),
        (RUN, ".hidden"),
        (RUN, "a/b"),
        (RUN, "a\\b"),
        (RUN, "a\x00b"),
        (RUN, "a\n"),
        (RUN, ""),
        ("", "web1"),
        (RUN, "-web1"),
        (RUN, "w" * 300),
        ("%2e%2e", "web1"),
    ],
)
def test_a_hostile_name_is_no_path(store: OutputStore, run: str, host: str) -> None:
    with pytest.raises(NotFound):
        store.read(run, host, Stream.OUT)
    with pytest.raises(NotFound):
        store.writer(run, host)


def test_files_are_private_under_a_loose_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = OutputStore(tmp_path / "runs")
        write(store, "web1", (Stream.OUT, b"x"), (Stream.ERR, b"y"))
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "runs").rglob("*")}
    assert modes == {0o600, 0o700}
    assert stat.S_IMODE((tmp_path / "runs").stat().st_mode) == 0o700


def test_a_full_disk_is_told_with_the_path(store: OutputStore) -> None:
    write(store, "web1", (Stream.OUT, b"before"))
    store.path(RUN, "web1", Stream.ERR).symlink_to("/dev/full")
    with store.writer(RUN, "web1") as writer, pytest.raises(Busy, match=r"web1\.err can't be written"):
        writer.append(Stream.ERR, b"lost")
    assert store.read(RUN, "web1", Stream.OUT) == b"before"


def test_a_write_that_fails_midway_leaves_no_half_chunk(store: OutputStore) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with store.writer(RUN, "web1") as writer:
        writer.append(Stream.OUT, b"whole")
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        try:
            with pytest.raises(Busy):
                writer.append(Stream.OUT, b"x" * 1000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        writer.append(Stream.OUT, b" again")
    assert store.read(RUN, "web1", Stream.OUT) == b"whole again"


def test_many_small_writes_are_cheap(store: OutputStore) -> None:
    with store.writer(RUN, "web1") as writer:
        for number in range(20_000):
            writer.append(Stream.OUT if number % 3 else Stream.ERR, b"line %d\n" % number)
    tail = everything(store)
    assert b"line 19999\n" in b"".join(chunk.data for chunk in tail)
