"""What tshark, the oracle, sees in a capture. Its PDML keeps apart what several messages in one packet say.

The JA4 fingerprint is put together here, from the fields that tshark dissects and by the words of
https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md, since tshark 4.0 has none of its own.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, iterparse

from tests.integration.lab import PATH, program
from tests.oracle.facts import NONE, Ends, Fact, Facts

PREFERENCES = {
    "tcp.reassemble_out_of_order": "TRUE",
    "tcp.desegment_tcp_streams": "TRUE",
    "tls.desegment_ssl_application_data": "TRUE",
    "ip.defragment": "TRUE",
    "ipv6.defragment": "TRUE",
}
PORTS = (
    "udp.port==53,dns",
    "tcp.port==53,dns",
    "udp.port==443,quic",
    "udp.port==444,quic",
    "tcp.port==443,tls",
    "tcp.port==3128,http",
)
"""Without these, a client's port that is registered for another protocol decides: tshark takes the lower one first."""
WANTED = "dns or tls.handshake.type==1 or http.request or http2.headers.method"
SHOWN = "ip ipv6 tcp udp dns tls quic http http2"
LONGEST = 1480
"""Bytes of a UDP datagram that fits into an Ethernet packet."""

_VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10", 0x0300: "s3"}


def version() -> str:
    """Return the oracle's version."""
    return subprocess.run([program("tshark"), "-v"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def dissected(path: Path) -> Facts:
    """Return what tshark sees in the capture *path*."""
    known = subprocess.run([program("tshark"), "-G", "defaultprefs"], capture_output=True, text=True, check=True).stdout
    options = [f"-o{name}:{value}" for name, value in PREFERENCES.items() if f"\n#{name}:" in known or f"\n{name}:" in known]
    options += [f"-d{rule}" for rule in PORTS]
    command = [program("tshark"), "-n", "-r", str(path), *options, "-Y", WANTED, "-T", "pdml", "-J", SHOWN]
    facts = Facts()
    environment = os.environ | {"PATH": PATH}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as tshark:
        assert tshark.stdout is not None
        for _event, element in iterparse(tshark.stdout):
            if element.tag == "packet":
                facts.update(_of_packet(element))
                element.clear()
    assert tshark.returncode == 0
    return facts


def offloaded(path: Path) -> set[Ends]:
    """Return the ends of QUIC datagrams that were captured before the network card cut them: longer than a packet can be."""
    fields = ("ip.src", "ipv6.src", "udp.srcport", "ip.dst", "ipv6.dst", "udp.dstport")
    command = [program("tshark"), "-n", "-r", str(path), "-Y", f"udp.length > {LONGEST} and udp.dstport in {{443, 444}}"]
    command += ["-T", "fields", "-E", "separator=,", *(word for field in fields for word in ("-e", field))]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PATH": PATH}).stdout
    found = set()
    for line in lines.splitlines():
        four, six, port, to_four, to_six, to_port = line.split(",")
        found.add(Ends(four or six, int(port), to_four or to_six, int(to_port)))
    return found


def _of_packet(packet: Element) -> Iterator[Fact]:
    ends: Ends | None = None
    over_quic = False
    address: tuple[str, str] | None = None
    for protocol in packet:
        name = protocol.get("name")
        if name in ("ip", "ipv6"):
            address = _show(protocol, f"{name}.src"), _show(protocol, f"{name}.dst")
        elif name in ("tcp", "udp") and address:
            ends = Ends(
                address[0], int(_show(protocol, f"{name}.srcport")), address[1], int(_show(protocol, f"{name}.dstport"))
            )
        elif ends is None:
            continue
        elif name == "dns":
            yield from _of_dns(protocol, ends)
        elif name == "quic":
            over_quic = True
            for hello in _hellos(protocol):
                yield from _of_hello(hello, ends, "quic ", "q")
        elif name == "tls" and not over_quic:
            for hello in _hellos(protocol):
                yield from _of_hello(hello, ends, "", "t")
        elif name == "http":
            yield from _of_http(protocol, ends)
        elif name == "http2":
            yield from _of_http2(protocol, ends)


def _all(element: Element, name: str) -> list[Element]:
    return [one for one in element.iter("field") if one.get("name") == name]


def _shows(element: Element, name: str) -> list[str]:
    return [one.get("show") or "" for one in _all(element, name)]


def _show(element: Element, name: str, default: str = "") -> str:
    return next(iter(_shows(element, name)), default)


def _of_dns(message: Element, ends: Ends) -> Iterator[Fact]:
    if int(_show(message, "dns.flags.opcode", "15"), 0):
        return
    answer = _show(message, "dns.flags.response") in ("1", "True")
    asked = Ends(ends.server, ends.server_port, ends.client, ends.client_port) if answer else ends
    parts = {(one.get("show") or "").split(" ")[0]: one for one in message if one.get("name") == ""}
    questions = parts.get("Queries")
    for question in questions if questions is not None else ():
        name, kind = _host(_show(question, "dns.qry.name")), _type(_all(question, "dns.qry.type")[0])
        if not answer:
            yield Fact("dns query", asked, f"{name} {kind}")
            continue
        answers = parts.get("Answers")
        for record in answers if answers is not None else ():
            for address in (*_shows(record, "dns.a"), *_shows(record, "dns.aaaa")):
                yield Fact("dns address", asked, f"{name} {kind} {address}")


def _type(field: Element) -> str:
    """Return a type's letters, from `Type: AAAA (IPv6 Address) (28)`, or `TYPE` and its number."""
    word = (field.get("showname") or "").removeprefix("Type: ").split(" ")[0]
    return {"Unknown": f"TYPE{field.get('show')}", "*": "ANY"}.get(word, word)


def _host(name: str) -> str:
    return "" if name == "<Root>" else "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in name)


def _hellos(protocol: Element) -> Iterator[Element]:
    for handshake in _all(protocol, "tls.handshake"):
        if _show(handshake, "tls.handshake.type") == "1":
            yield handshake


def _of_hello(hello: Element, ends: Ends, over: str, letter: str) -> Iterator[Fact]:
    extensions = [
        (int(_show(one, "tls.handshake.extension.type")), one) for one in hello if _shows(one, "tls.handshake.extension.type")
    ]
    protocols = _shows(hello, "tls.handshake.extensions_alpn_str")
    name = _show(hello, "tls.handshake.extensions_server_name", NONE)
    yield Fact(f"{over}sni", ends, _host(name))  # type: ignore[arg-type]
    yield Fact(f"{over}alpn", ends, ",".join(protocols) or NONE)  # type: ignore[arg-type]
    yield Fact(f"{over}ja4", ends, ja4(hello, extensions, protocols, letter))  # type: ignore[arg-type]


def ja4(hello: Element, extensions: list[tuple[int, Element]], protocols: list[str], letter: str) -> str:
    """Put the fingerprint together."""

    def real(number: int) -> bool:
        return not (number >> 8 == number & 0xFF and number & 0x0F == 0x0A)

    ciphers = [n for n in (int(show, 16) for show in _shows(hello, "tls.handshake.ciphersuite")) if real(n)]
    kinds = [kind for kind, _ in extensions if real(kind)]
    inside = dict(extensions)
    signed = [int(show, 16) for show in _shows(inside[13], "tls.handshake.sig_hash_alg")] if 13 in inside else []
    offered = (
        [int(show, 16) for show in _shows(inside[43], "tls.handshake.extensions.supported_version")] if 43 in inside else []
    )
    highest = max(filter(real, offered), default=int(_show(hello, "tls.handshake.version"), 16))
    first = protocols[0] if protocols else "00"
    named = "d" if 0 in kinds else "i"
    listed = ",".join(sorted(f"{n:04x}" for n in ciphers))
    sorted_kinds = ",".join(sorted(f"{n:04x}" for n in kinds if n not in (0, 16)))
    signatures = ",".join(f"{n:04x}" for n in signed if real(n))
    return (
        f"{letter}{_VERSIONS.get(highest, '00')}{named}{len(ciphers):02d}{len(kinds):02d}{first[0]}{first[-1]}"
        f"_{_cut(listed)}_{_cut(f'{sorted_kinds}_{signatures}' if signatures else sorted_kinds)}"
    )


def _cut(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "000000000000"


def _of_http(message: Element, ends: Ends) -> Iterator[Fact]:
    method, uri = _show(message, "http.request.method"), _show(message, "http.request.uri")
    if method:
        yield Fact("http", ends, request(method, uri, _show(message, "http.host")))


def request(method: str, uri: str, host: str) -> str:
    """Return method, host and path of an HTTP/1 request, by RFC 9112 (section 3.2) and 9110 (7.2)."""
    if method == "CONNECT":
        return f"{method} {_host(uri.rpartition(':')[0].strip('[]'))}"
    if "://" in uri:
        parts = urlsplit(uri)
        return f"{method} {parts.hostname} {parts.path or '/'}"
    named = urlsplit(f"//{host}").hostname
    return f"{method} {named or NONE} {uri.partition('?')[0]}"


def _of_http2(message: Element, ends: Ends) -> Iterator[Fact]:
    for stream in _all(message, "http2.stream"):
        method = _show(stream, "http2.headers.method")
        if method:
            host = urlsplit(f"//{_show(stream, 'http2.headers.authority')}").hostname
            yield Fact("http", ends, f"{method} {host} {_show(stream, 'http2.headers.path').partition('?')[0]}")
