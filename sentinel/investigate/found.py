"""The findings of an inquiry, held on disk: a log may be full of them, and memory is not to grow with it."""

from __future__ import annotations

import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import overload

from sentinel.activity.records import Finding
from sentinel.store.codec import dumps, loads


class Found(Sequence[Finding]):
    """Findings without their raw records, in the order of when and where, whatever order they are added in.

    Those of one packet keep the order in which they stand in it. Nothing is added any more once one was asked for.
    """

    def __init__(self, findings: Iterable[Finding] = ()) -> None:
        """Begin with *findings*."""
        self._file = tempfile.TemporaryFile(prefix="sentinel-")  # noqa: SIM115, it lives as long as this does
        weakref.finalize(self, self._file.close)
        # Of each finding: its time in microseconds, its path, where it lies there, and where it is in the file.
        self._when, self._path, self._where, self._begin = array("q"), array("L"), array("q"), array("q", [0])
        self._paths: dict[str, int] = {}
        self._ids: list[str] = []
        for finding in findings:
            self.add(finding)

    def add(self, finding: Finding) -> None:
        """Add one finding."""
        self._ids.append(finding.id)
        origin = finding.origin
        when = finding.observation.time
        self._when.append(int(when.timestamp()) * 1_000_000 + when.microsecond)
        self._path.append(self._paths.setdefault(origin.path, len(self._paths)))
        self._where.append(origin.frame or origin.offset or 0)
        self._begin.append(self._begin[-1] + self._file.write(dumps(finding).encode()))

    def ids(self) -> Iterator[str]:
        """Yield the ids of all of them, without reading them."""
        return (self._ids[at] for at in self._order)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._when)

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> list[Finding]: ...
    def __getitem__(self, index: int | slice) -> Finding | list[Finding]:
        """Return one finding, or several."""
        if isinstance(index, slice):
            return [self._read(at) for at in self._order[index]]
        return self._read(self._order[index])

    def __iter__(self) -> Iterator[Finding]:
        """Yield all of them."""
        return map(self._read, self._order)

    @cached_property
    def _order(self) -> array[int]:
        rank = {index: place for place, (_path, index) in enumerate(sorted(self._paths.items()))}
        return array("L", sorted(range(len(self)), key=lambda at: (self._when[at], rank[self._path[at]], self._where[at])))

    def _read(self, at: int) -> Finding:
        self._file.seek(self._begin[at])
        return loads(Finding, self._file.read(self._begin[at + 1] - self._begin[at]).decode(), raw=b"")
