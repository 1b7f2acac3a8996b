"""From what the decoders found to observations, each contact told once, with the packet that completed it as evidence."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from sentinel.observation import Observation, host_name
from sentinel.packets import certificates, dns, dns_skim, http1, socks, tls
from sentinel.packets.resolved import Resolved
from sentinel.packets.seen import Concerns, Seen, Unconcerning
from sentinel.packets.tcp import WINDOW, distance
from sentinel.packets.wire import Undecodable

ECH_NAMES = frozenset({"cloudflare-ech.com"})
"""Outer names that are nobody's own: a hello for one of them with an ECH extension hides another name."""
MOST_ECH_NAMES = 4096
MOST_HELLOS = 65_536
"""Hellos that are remembered, so that one that is sent again is not told again."""
MOST_NAMES = 65_536
"""Names of DNS messages of which it is remembered whether they are to be told."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Ends(NamedTuple):
    """Who asks whom; addresses are packed."""

    client: bytes
    client_port: int
    server: bytes
    server_port: int

    @property
    def turned(self) -> Ends:
        """The same ends, the other way round."""
        return Ends(self.server, self.server_port, self.client, self.client_port)


class Moment(Protocol):
    """The packet that completed something: when it was captured (ns), its number, its bytes."""

    time: int
    frame: int

    @property
    def packet(self) -> bytes | memoryview:
        """The captured bytes, link header first."""


@dataclass(slots=True)
class Packet:
    """A packet on its way through."""

    time: int
    frame: int
    packet: memoryview


class Teller:
    """Makes observations, and remembers what tells one contact from another and a true name from an outer one."""

    def __init__(self, counters: Counter[str], resolved: Resolved, concerns: Concerns | None = None) -> None:
        """Start with nothing seen; DNS answers go to *resolved*, what cannot be told is counted in *counters*.

        With *concerns*, lookups of other names are not told at all, and connections to them in `unconcerning` alone.
        """
        self.unconcerning: list[Unconcerning] = []
        self._concerns = concerns
        self._asked: dict[bytes, str | None] = {}  # names of DNS messages; None: to be told
        self._counters = counters
        self._resolved = resolved
        self._ech_names: OrderedDict[str, None] = OrderedDict()
        self._hellos: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def dns(self, at: Moment, ends: Ends, data: bytes, seen: list[Seen]) -> None:
        """Tell the questions of a DNS message, and with an answer what it answers."""
        if self._concerns is not None and self._passed_over(at, ends, data, self._concerns):
            return
        try:
            message = dns.read(data)
        except Undecodable:
            self._counters["dns_undecodable"] += 1
            return
        if message is None:
            return
        if message.cut:
            self._counters["dns_cut"] += 1
        if not message.answer:
            seen += [_seen(at, ends, kind="dns_query", name=one.name, query_type=one.type) for one in message.questions]
            return
        for name in message.ech_names:
            self._learn(name)
        asked = ends.turned
        aliases = tuple(message.aliases)
        for question in message.questions:
            fields = {"name": question.name, "query_type": question.type, "answers": (*aliases, *message.addresses)}
            seen.append(_seen(at, asked, kind="dns_answer", names=aliases, **fields))
        if message.resolved:
            self._resolved.learn(asked.client, message.questions[0].name.lower(), message.resolved, at.time)

    def hello(self, at: Moment, ends: Ends, hello: tls.Hello, over: str, seen: list[Seen], sequence: int = 0) -> bool:
        """Tell a ClientHello, and return whether it is new. *over*: "t" (TCP; *sequence* is where it ends) or "q" (QUIC).

        One that is sent again, or once more after a HelloRetryRequest or a QUIC Retry, has the random value of the first.
        """
        key, mark = hello_key(ends, over), hash((hello.random, hello.name))
        known = self._hellos.get(key)
        if known is not None and known[0] == mark:
            self._counters["hellos_repeated"] += 1
            return False
        self._hellos[key] = (mark, sequence)
        if len(self._hellos) > MOST_HELLOS:
            self._hellos.popitem(last=False)
        hidden = hello.ech and hello.name is not None and self._is_outer(hello.name.lower())
        if hello.ech:
            self._counters["ech" if hidden else "ech_grease"] += 1
        if self._concerns is not None and hello.name is not None:
            name = host_name(hello.name)
            if name is not None and not self._concerns(name):
                self.unconcerning.append(Unconcerning(at.time, name, ends.client_port, over == "t"))
                return True
        kind = "quic_client_hello" if over == "q" else "tls_client_hello"
        ja4 = tls.ja4(hello, over)
        seen.append(_seen(at, ends, kind=kind, name=hello.name, alpn=hello.alpn, ech=hidden, ja4=ja4))
        return True

    def reopened(self, ends: Ends, sequence: int) -> None:
        """Take note that a TCP connection begins between *ends* at *sequence*.

        Its hello is a new one whatever it looks like, unless this is the late copy of a packet that opened a known one.
        """
        key = hello_key(ends, "t")
        known = self._hellos.get(key)
        if known is not None and abs(distance(sequence, known[1])) > WINDOW:
            del self._hellos[key]

    def request(self, at: Moment, ends: Ends, request: http1.Request, seen: list[Seen]) -> None:
        """Tell an HTTP request, of whatever version."""
        kind = "proxy_connect" if request.method == "CONNECT" and request.path is None else "http_request"
        seen.append(
            _seen(
                at,
                ends,
                kind=kind,
                name=request.host,
                names=(request.also,) if request.also else (),
                url=request.url,
                path=request.path,
                query=request.query,
                method=request.method,
                user_agent=request.user_agent,
                bytes_up=request.length,
            )
        )

    def tunnel(self, at: Moment, ends: Ends, asked: socks.Asked, user: str | None, seen: list[Seen]) -> None:
        """Tell a SOCKS request. A destination that is an address is in the URL alone: it is no name."""
        host = asked.host or ""
        try:
            name, host = None, f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
        except ValueError:
            name = asked.host
        url = f"{host}:{asked.port}"
        seen.append(_seen(at, ends, kind="proxy_connect", name=name, url=url, method="CONNECT", claimed_user=user))

    def certificate(self, at: Moment, ends: Ends, der: bytes, seen: list[Seen]) -> None:
        """Tell the names in the certificate of a server that was asked for none, when they are one site's."""
        try:
            names = certificates.names(der)
        except Undecodable:
            self._counters["certificates_undecodable"] += 1
            return
        if not names:
            return
        if not certificates.of_one_site(names):
            self._counters["certificates_shared"] += 1
            return
        seen.append(_seen(at, ends, kind="tls_certificate", name=names[0], names=names[1:]))

    def _passed_over(self, at: Moment, ends: Ends, data: bytes, concerns: Concerns) -> bool:
        """Return whether a DNS message is a plain one about a name that is not to be told; its addresses are remembered."""
        message = dns_skim.skim(data)
        if message is None:
            return False
        try:
            name = self._asked[message.name]
        except KeyError:
            text = dns.read_name(data, 12)[0]
            known = host_name(text)
            name = None if known is not None and concerns(known) else text.lower()
            if len(self._asked) >= MOST_NAMES:
                self._asked.clear()
            self._asked[message.name] = name
        if name is None:
            return False
        if message.resolved:
            self._resolved.learn(ends.server, name, message.resolved, at.time)
        return True

    def _is_outer(self, name: str) -> bool:
        return name in ECH_NAMES or name in self._ech_names

    def _learn(self, name: str) -> None:
        self._ech_names[name] = None
        self._ech_names.move_to_end(name)
        if len(self._ech_names) > MOST_ECH_NAMES:
            self._ech_names.popitem(last=False)


def hello_key(ends: Ends, over: str) -> bytes:
    """Return what a hello is remembered by: the connection's ends."""
    ports = (ends.client_port << 16 | ends.server_port).to_bytes(4, "big")
    return ends.client + ends.server + ports + over.encode("ascii")


def _seen(at: Moment, ends: Ends, **fields: Any) -> Seen:
    observation = Observation(
        time=_EPOCH + timedelta(microseconds=at.time // 1000),
        client=_text(ends.client),
        client_port=ends.client_port,
        server=_text(ends.server),
        server_port=ends.server_port,
        **fields,
    )
    return Seen(observation, at.frame, bytes(at.packet))


@lru_cache(maxsize=16384)  # the same clients and servers over and over
def _text(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))
