"""The headers of many packets read at once with numpy: what the sieve has to know of them.

Only the plain layouts are read here: Ethernet with VLAN tags, the Linux "cooked" headers, NULL, LOOP and raw IP; IPv4 without
options and IPv6 without extension headers, no fragments; TCP and UDP. Whatever else a packet has is left to the decoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sentinel.packets import link
from sentinel.packets.ip import TCP, UDP
from sentinel.packets.records import Integers, Records

Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

_TYPE_AT = {link.ETHERNET: (12, 14), link.SLL: (14, 16), link.SLL2: (0, 20)}
"""Where the ether type and the network header lie."""
_NETWORK_AT = {0: 4, link.LOOP: 4, **dict.fromkeys(link.RAW, 0)}
_MOST_TAGS = 3

_V4, _V6, _TAG = 4, 6, 1
_KINDS = np.zeros(65536, np.uint8)  # by ether type, its first byte in the low half
for _type, _kind in [(link.IPV4, _V4), (link.IPV6, _V6), *((_vlan, _TAG) for _vlan in link.VLANS)]:
    _KINDS[(_type & 0xFF) << 8 | _type >> 8] = _kind

_TRANSPORT = "source_port <u2, destination_port <u2, sequence >u4, ack >u4, offset u1, flags u1"


def _shape(text: str) -> np.dtype[Any]:
    return np.dtype([(name, code) for name, code in (field.split() for field in text.split(", "))])


_V4_HEAD = _shape("version u1, tos u1, total >u2, id <u2, fragment <u2, ttl u1, protocol u1, sum <u2, ends V8, " + _TRANSPORT)
_V6_HEAD = _shape("version u1, class V3, total >u2, protocol u1, limit u1, ends V32, " + _TRANSPORT)
_FRAGMENT = 0xFF3F
"""Of the fragment field, its first byte in the low half: all but "don't fragment" and the reserved bit."""
_SHORT = np.dtype("<u2")
_WORD = np.dtype(">u4")
_V4_ENDS = _shape("both <u8, ports <u4")
_V6_ENDS = _shape("source <u8, source_end <u8, destination <u8, destination_end <u8, ports <u4")

_MIX = np.uint64(0x9E3779B97F4A7C15)
_1, _16, _29, _32, _LOW = (np.uint64(one) for one in (1, 16, 29, 32, 0xFFFF))


@dataclass(slots=True)
class Headers:
    """What was read of some packets; nothing of a packet that is not `known` means anything.

    `network`: where the IP header lies in the records' data; `wide`: it is version 6. `tcp`: else it is UDP. `payload`: how
    many bytes follow the transport header as the IP header claims; `body`: where they begin, though they may have been cut.
    `marked`: one of the ports is marked in the table that was given.
    """

    known: Flags
    tcp: Flags
    wide: Flags
    marked: Flags
    network: Integers
    flags: npt.NDArray[np.uint8]
    payload: npt.NDArray[np.int32]
    body: Integers


def port_table(ports: list[int]) -> Flags:
    """Return which ports are among *ports*, a port being written as its two bytes are read, the first one in the low half."""
    table = np.zeros(65536, np.bool_)
    table[[port >> 8 | (port & 0xFF) << 8 for port in ports]] = True
    return table


def read(records: Records, ports: Flags) -> Headers:
    """Return the headers of *records*; *ports* is a `port_table`."""
    network, kinds = _networks(records)
    count = len(network)
    headers = Headers(
        known=np.zeros(count, np.bool_),
        tcp=np.zeros(count, np.bool_),
        wide=kinds == _V6,
        marked=np.zeros(count, np.bool_),
        network=network,
        flags=np.zeros(count, np.uint8),
        payload=np.zeros(count, np.int32),
        body=np.zeros(count, np.int64),
    )
    for kind, shape in ((_V4, _V4_HEAD), (_V6, _V6_HEAD)):
        which: Any = np.flatnonzero(kinds == kind)
        if len(which):
            _fill(headers, records, which if len(which) < count else slice(None), shape, ports)
    return headers


def field(data: npt.NDArray[np.uint8], shape: np.dtype[Any], at: Integers) -> npt.NDArray[Any]:
    """Return what stands at each of the offsets *at* in *data*, aligned or not."""
    # Fields taken one by one would be twenty times slower than the bytes they lie in, taken at once.
    every: npt.NDArray[Any] = np.ndarray((len(data) - shape.itemsize,), f"V{shape.itemsize}", data.data, strides=(1,))
    return every[at].view(shape)


def shorts(data: npt.NDArray[np.uint8], at: Integers) -> npt.NDArray[np.uint16]:
    """Return the two bytes at each of the offsets *at*, the first one in the low half."""
    every: npt.NDArray[np.uint16] = np.ndarray((len(data) - 2,), _SHORT, data.data, strides=(1,))
    return every[at]


def sequences(records: Records, headers: Headers, which: Integers) -> Integers:
    """Return the TCP sequence numbers of the packets *which*."""
    at = headers.network[which] + np.where(headers.wide[which], 44, 24)
    return field(records.data, _WORD, at).astype(np.int64)


def flows(records: Records, headers: Headers, which: Integers, seed: int, *, back: bool = False) -> Hashes:
    """Return a hash of addresses, ports and protocol of each of the packets *which*, never 0; *back*: of the other direction.

    *seed* keeps strangers from making two flows of theirs look like one.
    """
    network, wide, tcp = headers.network[which], headers.wide[which], headers.tcp[which]
    if not wide.any():
        return _hash(field(records.data, _V4_ENDS, network + 12), tcp, np.uint64(seed), back)
    found = np.empty(len(which), np.uint64)
    for version, shape, at in ((False, _V4_ENDS, 12), (True, _V6_ENDS, 8)):
        here = np.flatnonzero(wide == version)
        found[here] = _hash(field(records.data, shape, network[here] + at), tcp[here], np.uint64(seed), back)
    return found


def flow_of(ends: bytes, seed: int) -> Hashes:
    """Return the hash of one TCP flow, as `flows` gives it. *ends*: addresses and ports, as they stand in a packet."""
    shape = _V4_ENDS if len(ends) == _V4_ENDS.itemsize else _V6_ENDS
    return _hash(np.frombuffer(ends, shape), np.ones(1, np.bool_), np.uint64(seed), False)


def _networks(records: Records) -> tuple[Integers, npt.NDArray[np.uint8]]:
    """Return where each packet's IP header should lie, and the IP version (0 where it is not known)."""
    kind = int(records.links[0])
    if kind in _TYPE_AT:
        type_at, network_at = _TYPE_AT[kind]
        network = records.starts + network_at
        kinds = _KINDS[shorts(records.data, records.starts + type_at)]
        for _ in range(_MOST_TAGS):
            tagged = np.flatnonzero(kinds == _TAG)
            if not len(tagged):
                break
            kinds[tagged] = _KINDS[shorts(records.data, network[tagged] + 2)]
            network[tagged] += 4
    else:
        network = records.starts + _NETWORK_AT.get(kind, 0)
        kinds = np.zeros(len(network), np.uint8)
        if kind in _NETWORK_AT:
            kinds[:] = records.data[network] >> 4
    kinds[records.links != kind] = 0
    return network, kinds


def _fill(headers: Headers, records: Records, which: Any, shape: np.dtype[Any], ports: Flags) -> None:
    """Read the packets *which*, whose IP header has the *shape*."""
    starts, network = records.starts[which], headers.network[which]
    there = starts + records.sizes[which] - network  # captured bytes from the IP header on
    head = field(records.data, shape, network)
    protocol, total = head["protocol"], head["total"].astype(np.int32)
    tcp = protocol == TCP
    unsaid = np.flatnonzero(total == 0)
    if shape is _V4_HEAD:
        at = 20
        known = (head["version"] == 0x45) & (head["fragment"] & _FRAGMENT == 0)
    else:
        at = 40
        total += 40
        known = head["version"] >> 4 == 6
    if len(unsaid):  # offloaded segments of over 64 KiB claim no length
        total[unsaid] = (records.lengths[which] - (network - starts))[unsaid]
    length = np.where(tcp, (head["offset"] >> 4) * 4, 8)
    payload = total - length - at
    known &= (tcp | (protocol == UDP)) & (there >= np.where(tcp, at + 20, at + 8)) & (length >= np.where(tcp, 20, 8))
    headers.known[which] = known & (payload >= 0)
    headers.tcp[which] = tcp
    headers.marked[which] = ports[head["source_port"]] | ports[head["destination_port"]]
    headers.flags[which] = head["flags"]
    headers.payload[which] = payload
    headers.body[which] = network + length + at


def _hash(ends: npt.NDArray[Any], tcp: Flags, seed: np.uint64, back: bool) -> Hashes:
    """Return what `flows` does, of addresses and ports."""
    names = [name for name in ends.dtype.names or () if name != "ports"]
    ports, words = ends["ports"].astype(np.uint64), [ends[name].astype(np.uint64) for name in names]
    if back:
        ports = (ports & _LOW) << _16 | ports >> _16
        words = [words[0] << _32 | words[0] >> _32] if len(words) == 1 else words[2:] + words[:2]
    found = ports ^ tcp.astype(np.uint64) << _32 ^ seed
    for word in words:
        found += word
        found *= _MIX
        found ^= found >> _32
    found *= _MIX
    return found ^ found >> _29 | _1
