"""A file of records of one size as a sequence, each read where it is needed."""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Generic, Self, TypeVar

Record = TypeVar("Record")


class RecordFile(ABC, Generic[Record]):
    """The records of a file, open inside ``with``; a file that is not there has none.

    A torn record at the end counts as none, nor do those that ``is_true`` denies: a power cut can leave
    zeros there, or take away what they tell of.
    """

    def __init__(self, path: Path, record_bytes: int) -> None:
        self._path, self._bytes = path, record_bytes
        self._file: int | None = None
        self._count = 0

    @abstractmethod
    def unpack(self, content: bytes) -> Record:
        """Return what the bytes of a record say."""

    @abstractmethod
    def is_true(self, record: Record) -> bool:
        """Tell whether a record at the end can be relied on."""

    def __enter__(self) -> Self:
        try:
            self._file = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return self
        self._count = os.fstat(self._file).st_size // self._bytes
        while self._count and not self.is_true(self[self._count - 1]):
            self._count -= 1
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> Record:
        if not 0 <= number < self._count:
            raise IndexError(number)
        return self.unpack(self.read(number, 1))

    def read(self, number: int, count: int) -> bytes:
        """Return the bytes of so many records from a number on."""
        if self._file is None:
            return b""
        return os.pread(self._file, self._bytes * count, self._bytes * number)
