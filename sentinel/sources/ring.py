"""A network interface read through AF_PACKET: packets that pass a filter in the kernel, in a ring of memory shared with it.

Needs CAP_NET_RAW and nothing else. References: packet(7), https://www.kernel.org/doc/html/latest/networking/packet_mmap.html
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import select
import socket
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sentinel.packets.capture import Record
from sentinel.sources.kernel_filter import kernel_filter

ETHERNET, RAW = 1, 101
"""Link types, as capture files number them."""

BLOCK = 256 * 1024
"""Bytes that the kernel hands over at once. A packet that the card or the kernel put together has up to 64 KiB, seldom more."""

BLOCK_MS = 100
"""How long a packet waits at the most for its block to fill. The kernel hands over what there is of it then, and begins another
block: in small steps little traffic would fill a large ring with blocks that are nearly empty."""

_SOL_PACKET, _ETH_P_ALL, _SO_ATTACH_FILTER = 263, 0x0003, 26
_ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION, _FANOUT, _IGNORE_OUTGOING = 1, 5, 6, 10, 18, 23
_PROMISCUOUS, _TPACKET_V3 = 1, 2
_FANOUT_BY_FLOW, _FANOUT_DEFRAGMENT, _FANOUT_UNIQUE = 0, 0x8000, 0x2000
_KERNEL, _USER, _VLAN_VALID, _VLAN_TYPE_VALID = 0, 1, 1 << 4, 1 << 6
_SIOCGIFFLAGS, _SIOCGIFHWADDR, _SIOCGIFINDEX = 0x8913, 0x8927, 0x8933
_UP, _RUNNING = 0x1, 0x40
_ETHERNET_KINDS = frozenset({1, 772})  # ARPHRD_ETHER, ARPHRD_LOOPBACK
_IP_KINDS = frozenset({512, 519, 768, 769, 776, 778, 823, 0xFFFE})  # PPP, raw IP, tunnels, and those without a link layer
_IP_TYPES = frozenset({0x0800, 0x86DD})

_BLOCK = struct.Struct("=8xIII").unpack_from  # status, packets, offset of the first
_HEADER = struct.Struct("=IIIIIIHHIIH").unpack_from  # struct tpacket3_hdr
_LINK_ADDRESS = struct.Struct(">HH").unpack_from  # struct sockaddr_ll, which lies behind the header: family, protocol
_LINK_ADDRESS_AT = 48  # TPACKET_ALIGN(sizeof(struct tpacket3_hdr))


class NoInterfaceError(Exception):
    """There is no such interface, or it is of a kind that is not read. The text says which."""


class NotPermittedError(Exception):
    """Interfaces may not be read by this process."""


@dataclass(frozen=True, slots=True)
class Link:
    """An interface as it is now. `index` is the system's number for it: another one means another interface of that name."""

    index: int
    running: bool  # up, and its cable or peer is there


def link_of(name: str) -> Link | None:
    """Return how the interface *name* is; None when there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            flags = _asked(asking, _SIOCGIFFLAGS, name, "H")
            return Link(_asked(asking, _SIOCGIFINDEX, name, "i"), flags & (_UP | _RUNNING) == _UP | _RUNNING)
        except OSError:
            return None


def permitted() -> None:
    """Try whether this process may read interfaces.

    Raises:
        NotPermittedError: It may not.
    """
    _socket(socket.SOCK_RAW).close()


def readable_kind(name: str) -> bool:
    """Return whether the interface *name* carries Ethernet or IP.

    Raises:
        NoInterfaceError: There is none.
    """
    return _kind(name) in _ETHERNET_KINDS | _IP_KINDS


class Ring:
    """An open interface."""

    def __init__(
        self, interface: str, *, size: int, dns_ports: Collection[int], outgoing: bool, fanout: int | None = None
    ) -> None:
        """Open the interface; packets come in from now on.

        Args:
            interface: Its name. It may be down.
            size: Bytes of the ring; what comes in while nobody reads waits there.
            dns_ports: Where DNS is spoken.
            outgoing: Whether to read what this machine itself sends.
            fanout: A group whose members share the packets, by flow: 0 founds one, `group` names it.

        Raises:
            NoInterfaceError: There is no such interface, or it is of a kind that is not read.
            NotPermittedError: CAP_NET_RAW is missing.
            OSError: There is not enough memory for the ring.
        """
        kind = _kind(interface)
        if kind not in _ETHERNET_KINDS | _IP_KINDS:
            raise NoInterfaceError(f"{interface} is of kind {kind}: neither Ethernet nor IP")
        ethernet = kind in _ETHERNET_KINDS
        self.link_type = ETHERNET if ethernet else RAW
        self._size = max(2, size // BLOCK) * BLOCK
        self.socket = _socket(socket.SOCK_RAW if ethernet else socket.SOCK_DGRAM)
        try:
            self._prepare(kernel_filter(ethernet=ethernet, dns_ports=dns_ports, outgoing=outgoing), outgoing)
            self.socket.bind((interface, _ETH_P_ALL))
            self._listen_to_all(self.socket.getsockname()[0])
            if fanout is not None:
                self._share(fanout)
        except OSError as error:
            self.socket.close()
            if error.errno == errno.ENODEV:
                raise NoInterfaceError(f"there is no interface {interface!r}") from error
            raise
        self._memory = memoryview(mmap.mmap(self.socket.fileno(), self._size, mmap.MAP_SHARED))
        self._next = 0
        self._poll = select.poll()
        self._poll.register(self.socket, select.POLLIN | select.POLLERR)

    @property
    def group(self) -> int:
        """The fanout group's number."""
        return self.socket.getsockopt(_SOL_PACKET, _FANOUT) & 0xFFFF

    def packets(self, timeout: float) -> Iterator[Record]:
        """Yield the packets of the next block, waiting for it up to *timeout* seconds. Each is valid until the next.

        A VLAN tag that the card or the kernel took off is put back, so that a packet is what was on the wire.
        """
        base = self._next * BLOCK
        status, count, at = _BLOCK(self._memory, base)
        if not status & _USER:
            self._poll.poll(timeout * 1000)
            with contextlib.suppress(OSError):  # "network is down", once: who asks for `link_of` knows
                self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            status, count, at = _BLOCK(self._memory, base)
            if not status & _USER:
                return
        yield from self._block(base + at, count)
        struct.pack_into("=I", self._memory, base + 8, _KERNEL)
        self._next = (self._next + 1) % (self._size // BLOCK)

    def dropped(self) -> int:
        """Return how many packets the kernel dropped since the last call, because the ring was full."""
        count: int = struct.unpack("=III", self.socket.getsockopt(_SOL_PACKET, _STATISTICS, 12))[1]
        return count

    def close(self) -> None:
        """Let the interface go."""
        self.socket.close()  # the mapping goes with the last packet that refers to it

    def _block(self, at: int, count: int) -> Iterator[Record]:
        memory, link = self._memory, self.link_type
        for _ in range(count):
            following, seconds, nanoseconds, captured, length, status, mac, _, _, tci, tpid = _HEADER(memory, at)
            start = at + mac
            data = memory[start : start + captured]
            if status & _VLAN_VALID and link == ETHERNET:
                tag = struct.pack(">HH", tpid if status & _VLAN_TYPE_VALID else 0x8100, tci & 0xFFFF)
                data = memoryview(b"".join((data[:12], tag, data[12:])))
                length += 4
            if link == ETHERNET or _LINK_ADDRESS(memory, at + _LINK_ADDRESS_AT)[1] in _IP_TYPES:
                yield seconds * 1_000_000_000 + nanoseconds, link, data, length
            at += following

    def _prepare(self, program: bytes, outgoing: bool) -> None:
        kept = ctypes.create_string_buffer(program, len(program))
        self.socket.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program) // 8, ctypes.addressof(kept))
        )
        if not outgoing:
            with contextlib.suppress(OSError):  # before Linux 4.20: the filter does it alone
                self.socket.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
        self.socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
        blocks = self._size // BLOCK
        self.socket.setsockopt(
            _SOL_PACKET, _RX_RING, struct.pack("=7I", BLOCK, blocks, 2048, blocks * (BLOCK // 2048), BLOCK_MS, 0, 0)
        )

    def _listen_to_all(self, interface: str) -> None:
        index = socket.if_nametoindex(interface)
        self.socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("=iHH8x", index, _PROMISCUOUS, 0))

    def _share(self, group: int) -> None:
        how = _FANOUT_BY_FLOW | _FANOUT_DEFRAGMENT | (0 if group else _FANOUT_UNIQUE)
        self.socket.setsockopt(_SOL_PACKET, _FANOUT, struct.pack("=I", group | how << 16))


def _socket(kind: int) -> socket.socket:
    try:
        return socket.socket(socket.AF_PACKET, kind, 0)
    except PermissionError as error:
        raise NotPermittedError("CAP_NET_RAW is missing") from error
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            raise NotPermittedError("the address family AF_PACKET is not allowed") from error
        raise


def _kind(name: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            return _asked(asking, _SIOCGIFHWADDR, name, "H")
        except OSError as error:
            raise NoInterfaceError(f"there is no interface {name!r}") from error


def _asked(asking: socket.socket, request: int, name: str, form: str) -> int:
    """Return the number that the system gives as an answer about an interface (netdevice(7)).

    Raises:
        OSError: There is no such interface.
    """
    given = struct.pack("=16s24x", name.encode()[:15])
    number: int = struct.unpack_from("=" + form, fcntl.ioctl(asking, request, given), 16)[0]
    return number
