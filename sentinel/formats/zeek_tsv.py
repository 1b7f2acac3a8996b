"""Zeek's logs as it writes them by default: tab-separated rows under `#fields`, which may change in the middle of a file.

    #path	dns
    #fields	ts	uid	id.orig_h	id.orig_p	id.resp_h	id.resp_p	proto	trans_id	query	...
    1379288668.060639	CZGShC2znK1sV7jdI7	192.168.33.10	1030	4.2.2.3	53	udp	39062	pimeyes.com	...

Reference: https://docs.zeek.org/en/master/scripts/base/frameworks/logging/writers/ascii.zeek.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sentinel.formats.format import LogFormat, Malformed, Stream, as_text
from sentinel.formats.pattern import Pattern
from sentinel.formats.zeek import REFERENCE, YIELDS, log_of, observed
from sentinel.observation import Observation

_STARTS = (b"#separator", b"#set_separator", b"#empty_field", b"#unset_field", b"#path", b"#fields")
_SETTINGS = ("#separator", "#set_separator", "#empty_field", "#unset_field", "#path")
_DEFAULTS = ("\t", ",", "(empty)", "-", "")
_ESCAPED = Pattern(r"(?:\\x[0-9a-fA-F]{2})+", re.ASCII)
_ROW = Pattern(r"\d{9,10}\.\d{6}\t[\w-]{1,40}\t")

_CONNECTION = "ts uid id.orig_h id.orig_p id.resp_h id.resp_p"
_DNS_END = "query qclass qclass_name qtype qtype_name rcode rcode_name AA TC RD RA Z answers TTLs rejected"
_HTTP_BODY = "request_body_len response_body_len status_code status_msg info_code info_msg"
_CONN = "proto service duration orig_bytes resp_bytes conn_state local_orig"
_CONN_END = "missed_bytes history orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes tunnel_parents"
_SSL = "version cipher curve server_name resumed last_alert next_protocol established"
_HTTP_KINDS = "orig_fuids orig_mime_types resp_fuids resp_mime_types"
_HTTP_FILES = "orig_fuids orig_filenames orig_mime_types resp_fuids resp_filenames resp_mime_types"
_HTTP_USER = "tags username password proxied"
_USUAL = tuple(
    tuple(f"{_CONNECTION} {rest}".split())
    for rest in (
        f"proto trans_id {_DNS_END}",
        f"proto trans_id rtt {_DNS_END}",
        f"{_CONN} {_CONN_END}",
        f"{_CONN} local_resp {_CONN_END}",
        f"{_CONN} local_resp {_CONN_END} ip_proto",
        f"trans_depth method host uri referrer user_agent {_HTTP_BODY} filename {_HTTP_USER} {_HTTP_KINDS}",
        f"trans_depth method host uri referrer version user_agent {_HTTP_BODY} {_HTTP_USER} {_HTTP_FILES}",
        f"trans_depth method host uri referrer version user_agent origin {_HTTP_BODY} {_HTTP_USER} {_HTTP_FILES}",
        f"{_SSL} cert_chain_fuids client_cert_chain_fuids subject issuer client_subject client_issuer",
        f"{_SSL} cert_chain_fuids client_cert_chain_fuids subject issuer client_subject client_issuer validation_status",
        f"{_SSL} ssl_history cert_chain_fps client_cert_chain_fps sni_matches_cert",
        f"{_SSL} ssl_history cert_chain_fps client_cert_chain_fps sni_matches_cert validation_status",
        "version client_initial_dcid client_scid server_scid server_name client_protocol history",
    )
)
"""The columns that versions 2.0 to 8.0 have without further scripts; for files that were cut or shipped without header."""

_LISTS = frozenset({"answers", "rcptto", "msg_types", "uids"})

_BOOL = Pattern(r"[TF-]\Z")
_COUNT = Pattern(r"(?:\d{1,20}|-)\Z", re.ASCII)
_VALUES = {
    "ts": Pattern(r"\d{9,10}\.\d{6}\Z", re.ASCII),
    "uid": Pattern(r"[A-Za-z0-9]{8,20}\Z", re.ASCII),
    "id.orig_h": Pattern(r"[0-9A-Fa-f.:]{2,45}\Z", re.ASCII),
    "id.orig_p": Pattern(r"\d{1,5}\Z", re.ASCII),
    "id.resp_h": Pattern(r"[0-9A-Fa-f.:]{2,45}\Z", re.ASCII),
    "id.resp_p": Pattern(r"\d{1,5}\Z", re.ASCII),
    "proto": Pattern(r"(?:tcp|udp|icmp|unknown_transport)\Z"),
    "conn_state": Pattern(r"(?:S[0123F]|SH|SHR|REJ|RST[OR]|RSTOS0|RSTRH|OTH)\Z"),
    "rtt": Pattern(r"(?:\d+\.\d+|-)\Z", re.ASCII),
    "cipher": Pattern(r"(?:TLS_[A-Z0-9_]+|SSL_[A-Z0-9_]+|unknown-\d+|-)\Z", re.ASCII),
    "version": Pattern(r"(?:D?TLSv\d+|SSLv\d+|unknown-\d+|\d(?:\.\d)?|quicv2|draft-\d+|-)\Z", re.ASCII),
    "history": Pattern(r"(?:\^?[A-Za-z]+|-)\Z", re.ASCII),
}
_VALUES |= dict.fromkeys(["AA", "TC", "RD", "RA", "rejected", "local_orig", "local_resp", "resumed", "established"], _BOOL)
_VALUES |= dict.fromkeys(
    ["trans_id", "trans_depth", "request_body_len", "response_body_len", "status_code", "missed_bytes", "orig_pkts"], _COUNT
)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How rows are read: what the header lines said, or Zeek's defaults."""

    separator: str
    set_separator: str
    empty: str
    unset: str
    path: str
    fields: tuple[str, ...]


def read_header(record: bytes, header: tuple[str, ...]) -> tuple[str, ...]:
    """Return the five settings and the columns in force after a header line. `#separator` begins a new header."""
    key, _, value = as_text(record).partition(" " if record.startswith(b"#separator ") else "\t")
    if key == "#separator":
        return (_unescaped(value), *_DEFAULTS[1:])
    settings, fields = list(header[:5] or _DEFAULTS), header[5:]
    if settings[0] != "\t":  # the header's own lines are separated so, too
        key, _, value = as_text(record).partition(settings[0])
    if key == "#fields":
        return (*settings, *value.split(settings[0]))
    if key in _SETTINGS:
        settings[_SETTINGS.index(key)] = value
    return (*settings, *fields)


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of the rows among *records* that have as many columns as a `#fields` among them, or the usual ones."""
    headers, rows, fields = [], [], 0
    for record in records:
        if record.startswith(b"#"):
            headers.append(record)
        else:
            rows.append(as_text(record))
    named = {record.count(b"\t") for record in headers if record.startswith(b"#fields\t")}
    if not rows:
        return 1.0 if named and any(record.startswith((b"#path", b"#separator")) for record in headers) else 0.0
    for row in rows:
        fields += _ROW.match(row) is not None and (row.count("\t") + 1 in named or _usual(row.split("\t")) is not None)
    return fields / len(rows)


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Read one row by the `#fields` in force, or by the usual columns where there were none and only one set of them fits.

    Raises:
        Malformed: The columns are not those, or there is no time.
    """
    if record.startswith(b"#"):
        return ()
    layout = _layout(stream.header)
    values = as_text(record).split(layout.separator)
    fields: tuple[str, ...] | None = layout.fields
    if not fields:
        fields = _usual(values)
        if fields is None:
            raise Malformed("no #fields before it, and not the usual columns of one log")
    if len(values) != len(fields):
        raise Malformed(f"{len(values)} columns where #fields names {len(fields)}")
    return observed(layout.path or log_of(fields) or "", _row(fields, values, layout), stream.clock)


def _row(fields: tuple[str, ...], values: list[str], layout: _Layout) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in zip(fields, values, strict=True):
        if value == layout.unset or value == layout.empty:
            continue
        if name in _LISTS:
            row[name] = [_unescaped(part) for part in value.split(layout.set_separator)]
        else:
            row[name] = _unescaped(value) if "\\x" in value else value
    return row


@lru_cache(maxsize=64)
def _layout(header: tuple[str, ...]) -> _Layout:
    separator, set_separator, empty, unset, path = header[:5] or _DEFAULTS
    return _Layout(separator or "\t", set_separator or ",", empty, unset, path, header[5:])


def _usual(values: list[str]) -> tuple[str, ...] | None:
    """Return the usual columns that *values* fit, None when none do or they would be read differently by two."""
    fits = [
        fields
        for fields in _USUAL
        if len(fields) == len(values)
        and all(_VALUES[name].match(value) for name, value in zip(fields, values, strict=True) if name in _VALUES)
    ]
    return fits[0] if len(fits) == 1 else None


def _unescaped(value: str) -> str:
    r"""Undo `\xHH`: Zeek writes bytes so that cannot stand in a row."""
    return str(_ESCAPED.sub(lambda found: as_text(bytes.fromhex(found[0].replace("\\x", ""))), value))


FORMAT = LogFormat(
    name="zeek-tsv",
    title="Zeek dns, ssl, quic, http, conn, dhcp and smtp logs, TSV",
    reference=REFERENCE,
    spelling="zeek",
    recognise=recognise,
    signs=(b"\t",),
    parse=parse,
    yields=YIELDS,
    header_starts=_STARTS,
    read_header=read_header,
)
