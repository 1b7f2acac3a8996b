"""Several captures as one stream of packets in the order of their times, read by one process or by several.

Each capture is strained on its own, with a decoder of its own that says which of its streams go on; what comes through is put
in the order of time and decoded once, for all of them. So the number of processes and the order of the paths change nothing.
A capture is opened when the time of its first packet has come, so that a thousand rotated files are not open at once.
"""

from __future__ import annotations

import heapq
import multiprocessing
import pickle
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from typing import NamedTuple

from sentinel.packets.decoder import Decoder
from sentinel.packets.strainer import Passed, Sent, Strainer
from sentinel.signatures.concern import Concern
from sentinel.sources.batch import Loss
from sentinel.sources.capture import STANDARD_INPUT, CaptureReader, first_time, utc

AHEAD = 64 * 1024 * 1024
"""Bytes that one process reads ahead of the others, at most; a fiftieth of what they were strained from."""
LUMP = 256
"""How many things are handed over from process to process at once."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a capture was read: what a `CaptureReader` says of it. `cut`: packets that the snap length cut."""

    bytes: int
    stored_read: int
    packets: int
    cut: int
    first: datetime | None
    last: datetime | None
    sha256: str | None
    losses: tuple[Loss, ...]
    error: str | None  # why it could not be read

    @classmethod
    def of(cls, reader: CaptureReader, error: str | None, strainer: Strainer | None = None) -> Ended:
        """Return how *reader* ended; *strainer*: what counted its packets, where the reader itself did not."""
        return cls(
            bytes=reader.bytes,
            stored_read=reader.stored_read,
            packets=strainer.packets if strainer else reader.packets,
            cut=strainer.cut if strainer else 0,
            first=utc(strainer.earliest) if strainer else reader.first,
            last=utc(strainer.latest) if strainer else reader.last,
            sha256=reader.sha256,
            losses=tuple(reader.losses),
            error=error,
        )


class Read(NamedTuple):
    """So many bytes of a capture, as they are stored, have been read."""

    stored: int


class Step(NamedTuple):
    """What came of a capture. Steps are ordered by their first three: no two have them alike."""

    time: int  # ns since 1970 UTC; never less than that of the capture's step before
    number: int  # of the capture, by `Capture.number`
    nth: int  # step of the capture
    what: Passed | Sent | Read | Ended


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture that is to be read: its number among all, when its first packet was captured (ns), and whether to hash it."""

    number: int
    path: str
    begins: int
    digest: bool


@dataclass(frozen=True, slots=True)
class Manner:
    """How captures are read: the ports of DNS, which names are to be told, and the seed of the tables of flows."""

    dns_ports: frozenset[int]
    concern: Concern
    seed: int


def numbered(paths: Sequence[str], digest: Callable[[str], bool]) -> list[Capture]:
    """Return captures in the order of their first packets; *digest* says which are to be hashed."""
    begins = sorted((first_time(path), path) for path in paths)
    return [Capture(number, path, time, digest(path)) for number, (time, path) in enumerate(begins)]


def steps(captures: Sequence[Capture], manner: Manner, jobs: int) -> Iterator[Step]:
    """Yield what comes of all *captures*, in the order of time, read by at most *jobs* processes beside this one.

    Standard input can be read by this process alone.
    """
    jobs = min(jobs, len(captures))
    if jobs < 2 or any(capture.path == STANDARD_INPUT for capture in captures):
        yield from _merged(captures, manner)
        return
    # Not forked from here: the threads of this process would not be there. What is forked instead has loaded all already.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ExitStack() as stack:
        streams = []
        for lane in range(jobs):
            here, there = context.Pipe(duplex=False)
            stack.callback(here.close)
            process = context.Process(target=_lane, args=(captures[lane::jobs], manner, there), daemon=True)
            process.start()
            stack.callback(process.terminate)
            there.close()
            streams.append(_received(here))
        yield from heapq.merge(*streams)


def _merged(captures: Sequence[Capture], manner: Manner) -> Iterator[Step]:
    """Yield the steps of *captures*, which are in the order of their first packets, in the order of time."""
    waiting = deque(captures)
    under_way: list[tuple[Step, Iterator[Step]]] = []
    while waiting or under_way:
        while waiting and (not under_way or waiting[0].begins <= under_way[0][0].time):
            stream = _strained(waiting.popleft(), manner)
            heapq.heappush(under_way, (next(stream), stream))
        step, stream = under_way[0]
        # As long as nothing else comes before it, a capture is read on.
        limit = min((other[0] for other in under_way[1:3]), default=None)
        begins = waiting[0].begins if waiting else None
        while limit is None or step < limit:
            yield step
            following = next(stream, None)
            if following is None:
                heapq.heappop(under_way)
                break
            step = following
            if begins is not None and begins <= step.time:
                heapq.heapreplace(under_way, (step, stream))
                break
        else:
            heapq.heapreplace(under_way, (step, stream))


def _strained(capture: Capture, manner: Manner) -> Iterator[Step]:
    """Yield the steps of one capture; the last one is that it ended."""
    decoder = Decoder(manner.dns_ports, concerns=manner.concern)
    strainer = Strainer(decoder, seed=manner.seed)
    reader = CaptureReader(capture.path, decoder, digest=capture.digest)
    now, nth, error = capture.begins, 0, None
    try:
        for records in reader.records():
            for one in strainer.strain(records):
                if isinstance(one, Passed):
                    now = max(now, one.time)
                    decoder.packet(one.time, one.link, memoryview(one.packet), one.length, one.frame)
                    if one.counted and one.ends is None:
                        one = one._replace(ends=strainer.ends())
                    if decoder.unconcerning:
                        decoder.unconcerning.clear()
                        strainer.ignore_passed()
                nth += 1
                yield Step(now, capture.number, nth, one)
            now = max(now, int(records.times[-1]))
            nth += 1
            yield Step(now, capture.number, nth, Read(reader.stored_read))
    except OSError as refused:
        error = refused.strerror or str(refused)
    yield Step(now, capture.number, nth + 1, Ended.of(reader, error, strainer))


def _lane(captures: Sequence[Capture], manner: Manner, to: Connection) -> None:
    """Read *captures* in this process, and hand over what comes of them."""
    lumps = _Ahead(to)
    try:
        lump: list[Step] = []
        for step in _merged(captures, manner):
            lump.append(_kept(step))
            if len(lump) >= LUMP:
                lumps.put(pickle.dumps(lump, pickle.HIGHEST_PROTOCOL))
                lump = []
        lumps.put(pickle.dumps(lump, pickle.HIGHEST_PROTOCOL))
        lumps.put(pickle.dumps(None))
    except Exception:  # the other process is to end with it
        lumps.put(pickle.dumps(traceback.format_exc()))
    lumps.close()


def _kept(step: Step) -> Step:
    """Return *step* without what the capture's buffer holds."""
    if isinstance(step.what, Passed):
        return step._replace(what=step.what._replace(packet=bytes(step.what.packet)))
    return step


def _received(lane: Connection) -> Iterator[Step]:
    while isinstance(lump := pickle.loads(lane.recv_bytes()), list):  # noqa: S301, it comes from a process of our own
        yield from lump
    if lump is not None:
        raise RuntimeError(f"a process that reads captures ended:\n{lump}")


class _Ahead:
    """What a process has read ahead, while another thread of it hands it over."""

    def __init__(self, to: Connection) -> None:
        self._to = to
        self._lumps: deque[bytes | None] = deque()
        self._held = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def put(self, lump: bytes) -> None:
        """Add *lump*, as soon as there is room for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._held < AHEAD)
            self._lumps.append(lump)
            self._held += len(lump)
            self._changed.notify_all()

    def close(self) -> None:
        """Wait until all is handed over."""
        with self._changed:
            self._lumps.append(None)
            self._changed.notify_all()
        self._thread.join()

    def _send(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._lumps))
                lump = self._lumps.popleft()
            if lump is None:
                return
            self._to.send_bytes(lump)
            with self._changed:
                self._held -= len(lump)
                self._changed.notify_all()
