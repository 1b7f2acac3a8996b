"""Everything that a network interface shows, as it comes in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator

from sentinel.activity.records import Origin
from sentinel.coverage import Coverage
from sentinel.observation import Observation
from sentinel.sources.interface import Interface
from sentinel.sources.ring import NoInterfaceError, link_of


def observe_interface(
    name: str, *, outgoing: bool, dns_ports: Collection[int], stop: threading.Event, tell: Callable[[str], None]
) -> Iterator[list[tuple[Observation, Origin]]]:
    """Yield what an interface shows, until *stop*; tell at the end, in sentences, how much was read and what was missed.

    Raises:
        NotPermittedError: CAP_NET_RAW is missing.
        NoInterfaceError: There is no such interface, or it is of a kind that is not read.
    """
    if link_of(name) is None:
        raise NoInterfaceError(f"there is no interface {name!r}")
    source = Interface(name, outgoing=outgoing, dns_ports=dns_ports)
    coverage = Coverage(path=source.path)
    for batch in source.batches(stop, {}):
        batch.add_to(coverage)
        yield [(one.observation, Origin(path=batch.path, frame=one.frame)) for one in batch.seen]
    tell(f"{name}: {coverage.parsed} packets passed the kernel's filter")
    for note in coverage.notes:
        tell(f"{name}: {note}")
    for what, count in sorted(coverage.unreadable.items()):
        tell(f"{name}: {what}: {count}")
