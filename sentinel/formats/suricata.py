"""Suricata's EVE log: dns (versions 1 to 3), tls, quic, http, flow, smtp and dhcp events, and accesses that it dropped.

    {"timestamp":"2026-11-23T07:27:29.642344+0100","flow_id":507050720446000,"event_type":"dns","src_ip":"10.0.0.5",
     "src_port":56529,"dest_ip":"10.0.0.53","dest_port":53,"proto":"UDP","dns":{"version":2,"type":"query","rrname":"pimeyes.com"}}

Who is the client depends on event and version: an answer names the client as `src_ip` in Suricata 7 and the server in 8, so
that the port decides. `flow_id` joins the events of one access. An alert or a file repeats what another event tells.

Reference: https://docs.suricata.io/en/latest/output/eve/eve-json-format.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sentinel.formats.envelope import peel
from sentinel.formats.format import Clock, LogFormat, Malformed, Stream, as_text
from sentinel.formats.mailed import domain_of, mailbox
from sentinel.formats.pattern import Pattern
from sentinel.formats.proxied import target, tunnel_action
from sentinel.formats.times import ISO, read_time
from sentinel.formats.zeek import number, port, text
from sentinel.observation import Action, Kind, Observation, host_of, ip_address

Row = Mapping[str, Any]
Common = dict[str, Any]

_ISO = Pattern(ISO + r"\Z", re.ASCII)
_TYPE = Pattern(rb'"event_type": ?"[a-z0-9_]{2,20}"')
_DNS_PORTS = frozenset({53, 853})
_LOCAL_NAMES = frozenset({137, 5353, 5355})
_QUIC_PORTS = frozenset({443, 853, 8443})
_MOST = 100
"""Queries, answers and recipients that are read of one event."""


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that are EVE events, 0.0 to 1.0."""
    return sum(_is_event(record) for record in records) / max(1, len(records))


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Read one event. Of a flow the time is its start; of all others when it was seen.

    Raises:
        Malformed: No JSON object with `event_type`, or no time.
    """
    event, host = _event(record)
    said = text(event, "event_type") or ""
    read = _READ.get(said)
    if read is None:
        return ()
    inner = event.get(said)
    if not isinstance(inner, dict):
        raise Malformed(f"no object {said!r} in an event of that type")
    common = _common(event, stream.clock, host)
    return read(inner, event, common)


def _is_event(record: bytes) -> bool:
    if not _TYPE.search(record):
        return False
    try:
        event, _host = _event(record)
    except Malformed:
        return False
    return isinstance(event.get("event_type"), str) and isinstance(event.get("timestamp"), str)


def _event(record: bytes) -> tuple[Row, str | None]:
    written, host = as_text(record), None
    if not written.startswith("{"):
        peeled = peel(written)
        written, host = peeled.message.removeprefix("@cee: "), peeled.host
    if not written.startswith("{"):
        raise Malformed("no JSON object")
    try:
        return json.loads(written, parse_float=str, parse_constant=str), host
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {str(error)[:80]}") from error


def _common(event: Row, clock: Clock, host: str | None) -> Common:
    """Return what all events say, with the source as the client."""
    written = text(event, "timestamp")
    return {
        "time": _time(written, clock),
        "time_text": written,
        "client": text(event, "src_ip"),
        "client_port": port(event, "src_port"),
        "server": text(event, "dest_ip"),
        "server_port": port(event, "dest_port"),
        "flow": text(event, "flow_id"),
        "resolver": text(event, "host") or host,
    }


def _time(written: str | None, clock: Clock) -> datetime:
    if written is None or not _ISO.match(written):
        raise Malformed("no timestamp")
    return read_time(written, clock)


def _turned(common: Common) -> Common:
    """Return *common* with the destination as the client."""
    return common | {
        "client": common["server"],
        "client_port": common["server_port"],
        "server": common["client"],
        "server_port": common["client_port"],
    }


def _nobody(common: Common) -> Common:
    return common | {"client": None, "client_port": None, "server": None, "server_port": None}


def _dns(inner: Row, _event: Row, common: Common) -> Sequence[Observation]:
    if not _LOCAL_NAMES.isdisjoint((common["client_port"], common["server_port"])):
        return ()  # multicast DNS, LLMNR and NetBIOS: names of the neighbourhood
    asks = text(inner, "type") in ("query", "request")
    common = _asker(inner, asks, common)
    kind: Kind = "dns_query" if asks else "dns_answer"
    action: Action | None = "blocked" if not asks and text(inner, "rcode") == "REFUSED" else None
    questions: list[Row] = [one for one in _list(inner, "queries") if isinstance(one, dict)] or [inner]
    values, cnames = ((), ()) if asks else _answers(inner)
    return tuple(
        Observation(
            kind=kind,
            name=text(question, "rrname"),
            names=cnames,
            query_type=text(question, "rrtype"),
            answers=values,
            action=action,
            **common,
        )
        for question in questions[:_MOST]
        if text(question, "rrname") is not None
    )


def _asker(inner: Row, asks: bool, common: Common) -> Common:
    """Return who asked: the side whose peer has DNS's port; where both or neither has it, what the version is known to do."""
    from_server, to_server = common["client_port"] in _DNS_PORTS, common["server_port"] in _DNS_PORTS
    if from_server != to_server:
        return _turned(common) if from_server else common
    version = number(inner, "version") or (3 if "queries" in inner else None)
    if asks or version == 2:
        return common
    return _turned(common) if version is not None and version >= 3 else _nobody(common)


def _answers(inner: Row) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return addresses and names of an answer, and the names alone. Version 1 tells each record by an event of its own."""
    records: list[Row] = [one for one in _list(inner, "answers") if isinstance(one, dict)] or [inner]
    values: list[str] = []
    cnames: list[str] = []
    for record in records[:_MOST]:
        value = text(record, "rdata")
        if value is None or (text(record, "rrtype") != "CNAME" and ip_address(value) is None):
            continue
        values.append(value)
        if ip_address(value) is None:
            cnames.append(value)
    return tuple(values), tuple(cnames)


def _tls(inner: Row, _event: Row, common: Common) -> Sequence[Observation]:
    offered = tuple(one for one in _list(inner, "client_alpns") if isinstance(one, str))[:_MOST]
    name = text(inner, "sni")
    return (Observation(kind="tls_client_hello", name=name, alpn=offered, ja4=text(inner, "ja4"), **common),)


def _quic(inner: Row, _event: Row, common: Common) -> Sequence[Observation]:
    """Of the several events of a connection only the one with the client's hello counts."""
    name = text(inner, "sni")
    if name is None:
        return ()
    if common["client_port"] in _QUIC_PORTS and common["server_port"] not in _QUIC_PORTS:
        common = _turned(common)
    extensions = (one for one in _list(inner, "extensions") if isinstance(one, dict) and one.get("name") == "alpn")
    offered = tuple(value for one in extensions for value in _list(one, "values") if isinstance(value, str))[:_MOST]
    return (Observation(kind="quic_client_hello", name=name, alpn=offered, ja4=text(inner, "ja4"), **common),)


def _http(inner: Row, _event: Row, common: Common) -> Sequence[Observation]:
    method, url, host = text(inner, "http_method"), text(inner, "url"), text(inner, "hostname") or _authority(inner)
    status = number(inner, "status")
    told: Common = {"method": method, "status": status, "user_agent": text(inner, "http_user_agent")}
    told |= {"bytes_down": number(inner, "length"), "action": "challenged" if status == 407 else None}
    asked = target(method or "", url or "")
    if asked is not None:  # asked of a proxy: the destination is not the server
        told |= {
            "name": asked.name,
            "names": (host_of(host or "") or "",),
            "url": url,
            "path": asked.path,
            "query": asked.query,
        }
        told |= {"server": None, "server_port": asked.port}
        if method == "CONNECT":
            return (Observation(kind="proxy_connect", **(common | told | {"action": tunnel_action(status)})),)
        return (Observation(kind="http_request", **(common | told)),)
    path, mark, query = (url or "").partition("?")
    told |= {"name": host_of(host or ""), "path": path or None, "query": query if mark else None}
    told["url"] = f"http://{host}{url}" if host and url and url.startswith("/") else url
    return (Observation(kind="http_request", **(common | told)),)


def _authority(inner: Row) -> str | None:
    """Return the host of an HTTP/2 request, which stands among its headers."""
    headers = (one for one in _list(inner, "request_headers") if isinstance(one, dict))
    return next((text(one, "value") for one in headers if one.get("name") == ":authority"), None)


def _flow(inner: Row, _event: Row, common: Common) -> Sequence[Observation]:
    """The source opened the flow; bytes are counted with the packets' headers."""
    begun, ended = text(inner, "start"), text(inner, "end")
    duration = None
    if begun and ended and _ISO.match(begun) and _ISO.match(ended):
        start = datetime.fromisoformat(begun)
        duration = max(0.0, (datetime.fromisoformat(ended) - start).total_seconds())
        common = common | {"time": start, "time_text": begun}
    up, down = number(inner, "bytes_toserver"), number(inner, "bytes_toclient")
    return (Observation(kind="flow", bytes_up=up, bytes_down=down, duration=duration, **common),)


def _smtp(inner: Row, event: Row, common: Common) -> Sequence[Observation]:
    """One observation for each mailbox; the client is another mail server, and accuses nobody."""
    email = event.get("email")
    shown = text(email, "from") if isinstance(email, dict) else None
    sender = domain_of(text(inner, "mail_from")) or domain_of(shown)
    others = tuple(name for name in (domain_of(shown),) if name)
    boxes = [mailbox(one) for one in _list(inner, "rcpt_to") if isinstance(one, str)]
    fields = _nobody(common) | {"name": sender, "names": others}
    return tuple(Observation(kind="mail", user=box, **fields) for box in boxes[:_MOST] if box)


def _dhcp(inner: Row, _event: Row, common: Common) -> Sequence[Observation]:
    """Only an acknowledgement gives an address to somebody."""
    address = text(inner, "assigned_ip")
    if text(inner, "dhcp_type") != "ack" or address in (None, "0.0.0.0"):  # noqa: S104 - an unset field, no address to bind
        return ()
    length = number(inner, "lease_time")
    fields = _nobody(common) | {
        "client": address,
        "device": text(inner, "hostname"),
        "duration": float(length) if length else None,
    }
    return (Observation(kind="dhcp_lease", **fields),)


def _alert(inner: Row, event: Row, common: Common) -> Sequence[Observation]:
    """An alert repeats what an event of its own tells; only that the access was dropped stands nowhere else."""
    if text(inner, "action") != "blocked":
        return ()
    flow = event.get("flow")
    if isinstance(flow, dict) and text(flow, "src_ip") is not None:
        if text(flow, "src_ip") != common["client"]:
            common = _turned(common)
    elif text(event, "direction") == "to_client":
        common = _turned(common)
    elif text(event, "direction") != "to_server":
        common = _nobody(common)
    for said in ("http", "tls", "quic"):
        repeated = event.get(said)
        if isinstance(repeated, dict):
            return tuple(_blocked(one) for one in _READ[said](repeated, event, common))
    return ()


def _blocked(seen: Observation) -> Observation:
    return replace(seen, action="blocked")


def _list(row: Row, name: str) -> list[Any]:
    value = row.get(name)
    return value if isinstance(value, list) else []


_READ: dict[str, Callable[[Row, Row, Common], Sequence[Observation]]] = {
    "dns": _dns,
    "tls": _tls,
    "quic": _quic,
    "http": _http,
    "flow": _flow,
    "smtp": _smtp,
    "dhcp": _dhcp,
    "alert": _alert,
}

FORMAT = LogFormat(
    name="suricata-eve",
    title="Suricata EVE, JSON",
    reference="https://docs.suricata.io/en/latest/output/eve/eve-json-format.html",
    spelling="json",
    recognise=recognise,
    signs=(b"{",),
    parse=parse,
    yields=(
        "dns_query",
        "dns_answer",
        "tls_client_hello",
        "quic_client_hello",
        "http_request",
        "proxy_connect",
        "flow",
        "mail",
        "dhcp_lease",
    ),
    tested_with="Suricata 7.0.10 and 8.0.7",
)
