"""What rows of Zeek's logs say, whichever way they are written: dns, ssl, quic, http, conn, dhcp and smtp.

The originator is the client, but of a mail: there it is another server, and the mail is its recipients'.

`ts` is when what the row tells began. Other logs of Zeek's are read, and tell of no access.

Reference: https://docs.zeek.org/en/master/logs/index.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sentinel.formats.format import Clock, Malformed
from sentinel.formats.mailed import domain_of, mailbox
from sentinel.formats.pattern import Pattern
from sentinel.formats.times import ISO, epoch_time, read_time
from sentinel.observation import Action, Observation, host_of, ip_address

REFERENCE = "https://docs.zeek.org/en/master/logs/index.html"
YIELDS = ("dns_query", "tls_client_hello", "quic_client_hello", "http_request", "proxy_connect", "flow", "mail", "dhcp_lease")

Row = Mapping[str, Any]
"""Field names as Zeek's documentation has them; an unset field is missing. Texts, numbers as text or int, lists."""

_ISO = Pattern(ISO + r"\Z", re.ASCII)
_DIGITS = Pattern(r"\d{1,18}\Z", re.ASCII)
_MILLIS = Pattern(r"(\d{10})(\d{3})(?:\.0*)?\Z", re.ASCII)
_SECONDS = Pattern(r"\d{1,9}(?:\.\d{1,20})?\Z", re.ASCII)
_ABSOLUTE = Pattern(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)([^?#]*)(?:\?([^#]*))?", re.ASCII)
_PORT = Pattern(r":(\d{1,5})\Z", re.ASCII)
_LEASED = frozenset({"assigned_ip", "assigned_addr", "client_addr"})
_LOCAL_NAMES = frozenset({137, 5353, 5355})
_HAVE_CNAMES = frozenset({"A", "AAAA", "CNAME", "HTTPS", "SVCB", "query_65"})

Common = dict[str, Any]


def observed(log: str, row: Row, clock: Clock) -> Sequence[Observation]:
    """Return what one row of the log called *log* (`#path`, `_path`) says.

    Raises:
        Malformed: No time, or none that a date can hold.
    """
    told = log.removesuffix("_red")
    read = (None if told in _BY_FIELDS else _READ.get(told)) or _READ.get(log_of(row) or "")
    # conn_long tells of running connections, each of them told again by conn at its end: it would count twice.
    if read is None or log == "conn_long":
        return ()
    written = text(row, "ts")
    common = {
        "time": _time(written, clock),
        "time_text": written,
        "client": text(row, "id.orig_h"),
        "client_port": port(row, "id.orig_p"),
        "server": text(row, "id.resp_h"),
        "server_port": port(row, "id.resp_p"),
        "flow": text(row, "uid"),
    }
    return read(row, common)


def log_of(fields: Collection[str]) -> str | None:
    """Return which log has such *fields*, None for one that tells of no access. JSON leaves out what is unset."""
    if "mailfrom" in fields or "rcptto" in fields:
        return "smtp"
    if "trans_depth" in fields:
        return "http"
    if "conn_state" in fields:
        return "conn"
    if "client_initial_dcid" in fields:
        return "quic"
    if "mac" in fields and not _LEASED.isdisjoint(fields):
        return "dhcp"
    if "trans_id" in fields and "mac" not in fields:  # dhcp.log had both
        return "dns"
    return "ssl" if "version" in fields and ("cipher" in fields or "server_name" in fields) else None


def text(row: Row, name: str) -> str | None:
    """Return a field as text; None when it is unset, empty or no single value."""
    value = row.get(name)
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def number(row: Row, name: str) -> int | None:
    """Return a field as a count; None when it is none."""
    value = text(row, name)
    return int(value) if value is not None and _DIGITS.match(value) else None


def port(row: Row, name: str) -> int | None:
    """Return a field as a port number; None when it is none."""
    value = number(row, name)
    return value if value is not None and value < 65536 else None


def _time(written: str | None, clock: Clock) -> datetime:
    if written is None:
        raise Malformed("no ts")
    if _ISO.match(written):
        return read_time(written, clock)
    millis = _MILLIS.match(written)
    return epoch_time(f"{millis[1]}.{millis[2]}" if millis else written[:21])


def _duration(row: Row, name: str) -> float | None:
    value = text(row, name)
    return float(value) if value is not None and _SECONDS.match(value) else None


def _dns(row: Row, common: Common) -> Sequence[Observation]:
    query, kind = text(row, "query"), text(row, "qtype_name")
    if query is None or common["server_port"] in _LOCAL_NAMES:
        return ()  # NetBIOS, mDNS and LLMNR ask the neighbours
    found = row.get("answers")
    answers = tuple(answer for answer in found if isinstance(answer, str)) if isinstance(found, list) else ()
    # The names in the answers to PTR and others are data; those to an address query are what was connected to.
    hosts = () if kind not in _HAVE_CNAMES else tuple(a for a in answers if " " not in a and ip_address(a) is None)
    query_type = "TYPE" + kind.removeprefix("query_") if kind and kind.startswith("query_") else kind
    action: Action | None = "blocked" if text(row, "rcode_name") == "REFUSED" else None
    return (
        Observation(kind="dns_query", name=query, names=hosts, query_type=query_type, answers=answers, action=action, **common),
    )


def _ssl(row: Row, common: Common) -> Sequence[Observation]:
    chosen = text(row, "next_protocol")
    alpn = (chosen,) if chosen else ()
    return (Observation(kind="tls_client_hello", name=text(row, "server_name"), alpn=alpn, ja4=text(row, "ja4"), **common),)


def _quic(row: Row, common: Common) -> Sequence[Observation]:
    offered = text(row, "client_protocol")
    alpn = (offered,) if offered else ()
    return (Observation(kind="quic_client_hello", name=text(row, "server_name"), alpn=alpn, ja4=text(row, "ja4"), **common),)


def _http(row: Row, common: Common) -> Sequence[Observation]:
    method, uri, host = text(row, "method"), text(row, "uri"), text(row, "host")
    absolute = _ABSOLUTE.match(uri) if uri else None
    status = number(row, "status_code")
    told: Common = {
        "method": method,
        "status": status,
        "user_agent": text(row, "user_agent"),
        "claimed_user": text(row, "username"),  # as the request carried it; Zeek cannot tell whether it was accepted
        "bytes_up": number(row, "request_body_len"),
        "bytes_down": number(row, "response_body_len"),
        "action": "challenged" if status == 407 else None,
    }
    if method == "CONNECT":
        return (_connect(uri or host or "", status, common | told),)
    if absolute:  # asked of a proxy: the responder is not the server
        told |= {"name": host_of(absolute[1]), "names": (host_of(host or "") or "",), "url": uri}
        told |= {"path": absolute[2] or "/", "query": absolute[3], "server": None, "server_port": None}
        return (Observation(kind="http_request", **(common | told)),)
    path, asked, query = (uri or "").partition("?")
    told |= {"name": host_of(host or ""), "url": f"http://{host}{uri}" if host and uri and uri.startswith("/") else uri}
    return (Observation(kind="http_request", path=path or None, query=query if asked else None, **(common | told)),)


def _connect(target: str, status: int | None, fields: Common) -> Observation:
    found = _PORT.search(target)
    action = fields["action"]
    if status is not None and action is None:
        action = "allowed" if 200 <= status < 300 else "blocked" if status == 403 else None
    to: Common = {"server": None, "server_port": int(found[1]) if found else None, "action": action}
    return Observation(kind="proxy_connect", name=host_of(target), url=target or None, **(fields | to))


def _conn(row: Row, common: Common) -> Sequence[Observation]:
    duration = _duration(row, "duration")
    up, down = _payload(row, "orig"), _payload(row, "resp")
    return (Observation(kind="flow", bytes_up=up, bytes_down=down, duration=duration, **common),)


def _payload(row: Row, side: str) -> int | None:
    """Return the payload one side sent, counted by sequence numbers; None when more than could have been sent."""
    payload, packets = number(row, f"{side}_bytes"), number(row, f"{side}_ip_bytes")
    if payload is None or packets is None:
        return payload
    return payload if payload <= packets + (number(row, "missed_bytes") or 0) else None


def _dhcp(row: Row, common: Common) -> Sequence[Observation]:
    """Only an acknowledgement gives an address to somebody; versions before 2.6 log nothing else."""
    address = text(row, "assigned_addr") or text(row, "assigned_ip") or text(row, "client_addr")
    messages = row.get("msg_types")
    if address is None or (isinstance(messages, list) and "ACK" not in messages):
        return ()
    lease: Common = {"client": address, "client_port": None, "server": text(row, "server_addr") or common["server"]}
    lease |= {"server_port": None, "device": text(row, "host_name") or text(row, "client_fqdn")}
    return (Observation(kind="dhcp_lease", duration=_duration(row, "lease_time"), **(common | lease)),)


def _smtp(row: Row, common: Common) -> Sequence[Observation]:
    """One observation for each recipient that the envelope names; a recipient's server that said no kept the mail out."""
    shown = domain_of(text(row, "from"))
    sender = domain_of(text(row, "mailfrom")) or shown
    found = row.get("rcptto")
    boxes = (mailbox(one) for one in found if isinstance(one, str)) if isinstance(found, list) else iter(())
    refused = (text(row, "last_reply") or "").startswith("5")
    told: Common = {"client": None, "client_port": None, "server": None, "server_port": None, "name": sender}
    told |= {"names": (shown,) if shown else (), "action": "blocked" if refused else None}
    return tuple(Observation(kind="mail", user=box, **(common | told)) for box in boxes if box)


_BY_FIELDS = frozenset({"dhcp", "smtp"})
"""Logs that their columns tell better than a name, which sites give away freely."""

_READ: dict[str, Callable[[Row, Common], Sequence[Observation]]] = {
    "dns": _dns,
    "ssl": _ssl,
    "quic": _quic,
    "http": _http,
    "conn": _conn,
    "dhcp": _dhcp,
    "smtp": _smtp,
}
