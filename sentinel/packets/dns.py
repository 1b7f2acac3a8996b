"""DNS messages: what was asked, and which addresses and names the answer gives.

References: RFC 1035; SVCB and HTTPS records RFC 9460; ECH configurations in them RFC 9848.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from sentinel.packets.wire import Undecodable, label_text

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, DNAME, SVCB, HTTPS, ANY = 1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 64, 65, 255
TYPES = {
    A: "A", NS: "NS", CNAME: "CNAME", SOA: "SOA", PTR: "PTR", MX: "MX", TXT: "TXT", AAAA: "AAAA", SRV: "SRV", 35: "NAPTR",
    DNAME: "DNAME", 43: "DS", 44: "SSHFP", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 52: "TLSA", SVCB: "SVCB", HTTPS: "HTTPS",
    99: "SPF", 251: "IXFR", 252: "AXFR", ANY: "ANY", 256: "URI", 257: "CAA",
}  # fmt: skip
MOST_QUESTIONS = 8
MOST_RECORDS = 512
INTERNET = 1
HINT_4_KEY, ECH_KEY, HINT_6_KEY = 4, 5, 6
ECH_VERSION = 0xFE0D


@dataclass(frozen=True, slots=True)
class Question:
    """One name that was asked for; the type in letters, `TYPE1234` when it has none."""

    name: str
    type: str


@dataclass(slots=True)
class Message:
    """A query or an answer. `cut` tells that the bytes ended before the message did."""

    id: int
    answer: bool
    rcode: int
    questions: list[Question] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)  # CNAME, DNAME and SVCB targets
    resolved: list[tuple[bytes, int]] = field(default_factory=list)  # packed addresses of the name asked for, TTL in seconds
    ech_names: list[str] = field(default_factory=list)  # public names of the ECH configurations in HTTPS and SVCB records
    cut: bool = False


def read(data: bytes) -> Message | None:
    """Read one message, as far as it goes; None for what is neither query nor answer (updates, notifications).

    Raises:
        Undecodable: The header or the first question does not come apart. Nothing is guessed from half a name.
    """
    if len(data) < 12:
        raise Undecodable("shorter than a DNS header")
    number, flags, questions, answers = struct.unpack_from(">HHHH", data)
    if flags >> 11 & 15:
        return None
    message = Message(number, bool(flags & 0x8000), flags & 15)
    at = 12
    for index in range(min(questions, MOST_QUESTIONS)):
        try:
            name, at = read_name(data, at)
            kind = struct.unpack_from(">H", data, at)[0]
        except (struct.error, Undecodable) as error:
            if index == 0:
                raise Undecodable("the question does not come apart") from error
            message.cut = True
            return message
        message.questions.append(Question(name, TYPES.get(kind, f"TYPE{kind}")))
        at += 4
    if message.answer and questions <= MOST_QUESTIONS:
        _records(message, data, at, min(answers, MOST_RECORDS))
    return message


def read_name(data: bytes, at: int) -> tuple[str, int]:
    """Return the name at the offset *at*, without the final dot ("." for the root), and where it ends.

    Raises:
        Undecodable: It does not end, is longer than 255 bytes, or its pointers do not lead backwards.
    """
    labels: list[str] = []
    end, length, least = 0, 0, at
    while True:
        if at >= len(data):
            raise Undecodable("a name without an end")
        size = data[at]
        if size == 0:
            return ".".join(labels) or ".", end or at + 1
        if size & 0xC0 == 0xC0:
            if at + 2 > len(data):
                raise Undecodable("a name without an end")
            end = end or at + 2
            at = (size & 0x3F) << 8 | data[at + 1]
            if at >= least:  # only backwards, so that there is no loop
                raise Undecodable("a pointer that leads forward")
            least = at
            continue
        length += size + 1
        if size & 0xC0 or length > 254:
            raise Undecodable("a label or name too long")
        label = data[at + 1 : at + 1 + size]
        if len(label) < size:
            raise Undecodable("a name without an end")
        labels.append(label_text(label))
        at += 1 + size


@dataclass(slots=True)
class _Chain:
    """The name that was asked for, those that it is an alias of, and how long that holds, in seconds."""

    ttl: dict[str, int]

    def extend(self, owner: str, target: str, ttl: int) -> None:
        known = self.ttl.get(owner.lower())
        if known is not None:
            self.ttl.setdefault(target.lower(), min(known, ttl))


def _records(message: Message, data: bytes, at: int, count: int) -> None:
    chain = _Chain({question.name.lower(): 0x7FFFFFFF for question in message.questions[:1]})
    held: list[tuple[str, bytes, int]] = []
    try:
        for _ in range(count):
            owner, at = read_name(data, at)
            kind, group, ttl, length = struct.unpack_from(">HHIH", data, at)
            at += 10
            if at + length > len(data):
                message.cut = True
                break
            if group == INTERNET:
                held += [(owner, address, ttl) for address in _record(message, chain, data, (at, kind, length, owner, ttl))]
            at += length
    except (struct.error, Undecodable):
        message.cut = True
    for owner, address, ttl in held:  # after all of them: a resolver may put an alias behind its address
        known = chain.ttl.get(owner.lower())
        if known is not None:
            message.resolved.append((address, min(known, ttl)))


def _record(message: Message, chain: _Chain, data: bytes, record: tuple[int, int, int, str, int]) -> list[bytes]:
    """Take what a record of a known type says, and return its addresses. Unknown types are skipped: they end nothing."""
    at, kind, length, owner, ttl = record
    if (kind, length) in ((A, 4), (AAAA, 16)):
        address = data[at : at + length]
        message.addresses.append(str(ipaddress.ip_address(address)))
        return [address]
    if kind in (CNAME, DNAME):
        target = read_name(data, at)[0]
        message.aliases.append(target)
        if kind == CNAME:
            chain.extend(owner, target, ttl)
    elif kind in (SVCB, HTTPS) and length > 2:
        return _service(message, chain, data, record)
    return []


def _service(message: Message, chain: _Chain, data: bytes, record: tuple[int, int, int, str, int]) -> list[bytes]:
    at, _, length, owner, ttl = record
    target, start = read_name(data, at + 2)
    if target != ".":
        message.aliases.append(target)
        chain.extend(owner, target, ttl)
    hints = []
    for key, value in _parameters(data[start : at + length]):
        if key == ECH_KEY:
            message.ech_names += ech_public_names(value)
        elif key in (HINT_4_KEY, HINT_6_KEY):
            size = 4 if key == HINT_4_KEY else 16
            hints += [value[one : one + size] for one in range(0, len(value) - size + 1, size)]
    return hints


def _parameters(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        key, length = struct.unpack_from(">HH", data, at)
        yield key, data[at + 4 : at + 4 + length]
        at += 4 + length


def ech_public_names(configs: bytes) -> list[str]:
    """Return the outer names of an ECHConfigList (RFC 9849, section 4), those that come apart."""
    names = []
    at = 2
    while at + 4 <= len(configs):
        version, length = struct.unpack_from(">HH", configs, at)
        body = configs[at + 4 : at + 4 + length]
        at += 4 + length
        if version != ECH_VERSION:
            continue
        try:
            after_key = 5 + struct.unpack_from(">H", body, 3)[0]
            after_suites = after_key + 2 + struct.unpack_from(">H", body, after_key)[0]
            size = body[after_suites + 1]
            name = body[after_suites + 2 : after_suites + 2 + size]
        except (struct.error, IndexError):
            continue
        if size and len(name) == size and name.isascii():
            names.append(name.decode("ascii").lower())
    return names
