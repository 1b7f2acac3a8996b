"""Several processes that share the packets of one interface, each with a ring and a decoder of its own.

The kernel gives all packets of a flow, in both directions, to the same one. They end with the process that started them.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from sentinel.sources.tap import HARVEST_SECS, Harvest, Opening, Tap

END_SECS = 5.0


class WorkerError(Exception):
    """A worker ended by itself."""


class Workers:
    """The running workers. The same three methods as a `Tap` has."""

    def __init__(self, opening: Opening, count: int) -> None:
        """Start them, and return when all have opened the interface.

        Raises:
            NoInterfaceError: There is no such interface, or it is of a kind that is not read.
            NotPermittedError: CAP_NET_RAW is missing.
            OSError: There is not enough memory for the rings.
            WorkerError: One did not start.
        """
        self._processes: list[SpawnProcess] = []
        self._pipes: list[Connection] = []
        group = 0
        try:
            for nth in range(count):
                group = self._start(opening, group, nth, count)
        except BaseException:
            self.rest()
            raise

    def harvest(self, secs: float = HARVEST_SECS) -> Harvest:
        """Return what comes in within *secs*.

        Raises:
            WorkerError: A worker ended by itself.
        """
        harvest = Harvest()
        for pipe in wait(self._pipes, secs):
            assert isinstance(pipe, Connection)
            harvest.add(_received(pipe))
        return harvest

    def rest(self) -> Harvest:
        """End the workers, and return what they had left."""
        harvest = Harvest()
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send(None)
        for pipe in self._pipes:
            with contextlib.suppress(OSError, WorkerError):
                while pipe.poll(END_SECS) and (part := _received(pipe)):
                    harvest.add(part)
            pipe.close()
        for process in self._processes:
            process.join(END_SECS)
            if process.is_alive():
                process.kill()
        return harvest

    def _start(self, opening: Opening, group: int, nth: int, count: int) -> int:
        """Start a worker; return the number of the group that it joined."""
        context = multiprocessing.get_context("spawn")  # a fork would take half of our threads' state along
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, opening, group, nth, count), daemon=True)
        process.start()
        theirs.close()
        self._processes.append(process)
        self._pipes.append(ours)
        try:
            answer = ours.recv()
        except EOFError:
            raise WorkerError(f"worker {nth + 1} of {count} did not start") from None
        if isinstance(answer, Exception):
            raise answer
        joined: int = answer
        return joined


def _received(pipe: Connection) -> Harvest:
    try:
        harvest = pipe.recv()
    except EOFError:
        raise WorkerError("a worker ended by itself") from None
    assert isinstance(harvest, Harvest)
    return harvest


def _work(pipe: Connection, opening: Opening, group: int, nth: int, count: int) -> None:
    """Read until the other end of *pipe* asks to stop or is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a terminal and systemd tell all processes; the first one ends the others
        signal.signal(number, signal.SIG_IGN)
    try:
        tap = Tap(opening, group=group, nth=nth, of=count)
    except Exception as error:
        pipe.send(error)
        return
    with contextlib.suppress(BrokenPipeError):
        pipe.send(tap.ring.group)
        while not pipe.poll():
            harvest = tap.harvest()
            if harvest:
                pipe.send(harvest)
        rest = tap.rest()
        if rest:
            pipe.send(rest)
        pipe.send(Harvest())
