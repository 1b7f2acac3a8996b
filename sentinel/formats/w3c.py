r"""W3C extended logs, read by their `#Fields:`: ProxySG (Edge SWG), Forefront TMG, IIS, Netskope's transaction events.

    #Fields: date time time-taken c-ip cs-username sc-filter-result sc-status s-action cs-method cs-uri-scheme cs-host ...
    2026-11-23 05:34:02 345 10.0.0.5 CORP\alice OBSERVED 200 TCP_TUNNELED CONNECT tcp pimeyes.com ...

`date` and `time` are UTC, and those of the transaction's end. Which columns there are is the administrator's choice, and may
change in the middle of a file. `sc` is what went to the client, `cs` what came from it. A row that names no site, as IIS writes
them by default, tells of no access.

Reference: https://www.w3.org/TR/WD-logfile.html, https://learn.microsoft.com/windows/win32/http/w3c-logging
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from sentinel.formats.format import LogFormat, Malformed, Stream, as_text
from sentinel.formats.pattern import Pattern
from sentinel.formats.proxied import started, target, tunnel_action
from sentinel.formats.times import epoch_time
from sentinel.observation import Action, Observation, host_of

_REFERENCE = "https://www.w3.org/TR/WD-logfile.html"

_VALUE = Pattern(r'"((?:[^"]|"")*+)"(?= |\Z)|([^ ]*+)')
_FIELD = Pattern(r"[A-Za-z][A-Za-z0-9_-]*(?:\([A-Za-z0-9_-]+\))?\Z", re.ASCII)
_DATE = Pattern(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d:\d\d))?", re.ASCII)
_CLOCK = Pattern(r"\d\d:\d\d:\d\d(?:\.\d{1,6})?\Z", re.ASCII)
_EPOCH = Pattern(r"\d{9,11}(?:\.\d{1,9})?\Z", re.ASCII)
_BRACKETS = Pattern(r"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d) (GMT|[+-]\d{4})\]\Z", re.ASCII)
_DIGITS = Pattern(r"\d{1,18}\Z", re.ASCII)
_TAKEN = Pattern(r"(\d{1,12})(\.\d{1,6})?\Z", re.ASCII)

_TIMES = frozenset({"time", "gmttime", "localtime", "x-timestamp-unix", "timestamp", "x-timestamp"})
_HOSTS = ("cs-host", "r-host", "cs(host)", "x-cs-url", "cs-url", "c-uri", "cs-uri", "cs-uri-stem")
_NOBODY = frozenset({"", "-", "anonymous"})
_DENIED = frozenset({"DENIED", "Denied", "denied", "block", "blocked", "Block", "Blocked", "BLOCKED"})
_PASSED = frozenset({"OBSERVED", "PROXIED", "Allowed", "allowed", "allow", "Allow", "alert", "bypass"})
_TUNNELS = frozenset({"tcp", "ssl", "tunnel", "ssl-tunnel", "socks"})
_NOT_REACHED = ("tcp_error", "dns_", "connect_", "gateway_error", "icp_error", "server_request_limit")
_TMG_STATUS = {12209: 407, 12202: 403, 12210: 403, 12217: 403}
"""Windows errors that TMG writes for a status: proxy authentication required, denied by rule, by a filter."""

_USUAL = (
    *(
        "date",
        "time",
        "time-taken",
        "c-ip",
        "cs-username",
        "cs-auth-group",
        "x-exception-id",
        "sc-filter-result",
        "cs-categories",
    ),
    *("cs(referer)", "sc-status", "s-action", "cs-method", "rs(content-type)", "cs-uri-scheme", "cs-host", "cs-uri-port"),
    *("cs-uri-path", "cs-uri-query", "cs-uri-extension", "cs(user-agent)", "s-ip", "sc-bytes", "cs-bytes", "x-virus-id"),
)
"""What ProxySG's `main` log begins with; syslog leaves its header out. Columns behind these are appended by later versions."""


def read_header(record: bytes, header: tuple[str, ...]) -> tuple[str, ...]:
    """Return date and columns in force after a header line; the date counts for rows that have none of their own."""
    key, _, value = as_text(record).partition(":")
    day, fields = (header[0], header[1:]) if header else ("", ())
    if key == "#Date":
        return value.strip(), *fields
    return day, *(name.lower() for name in value.split())


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of the rows among *records* that have as many columns as a `#Fields:` among them, or ProxySG's."""
    layouts, rows = [], []
    for record in records:
        if record.startswith(b"#Fields:"):
            layouts.append(read_header(record, ())[1:])
        elif not record.startswith(b"#"):
            rows.append(as_text(record))
    ours = [fields for fields in layouts if _is_web(fields)]
    if not rows:
        return 1.0 if ours else 0.0
    counts = {len(fields) for fields in ours}
    return sum((bool(counts) and _fits(row, counts)) or _usual(row) is not None for row in rows) / len(rows)


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Read one row by the columns in force, or by ProxySG's usual ones where no header came before it.

    Raises:
        Malformed: The columns are not those, or there is no time.
    """
    return _parsed(record, stream, ())


def of_fields(fields: str) -> LogFormat:
    """Return the format of rows with the columns *fields*, for logs that come without their header.

    Raises:
        ValueError: They are no such columns, or name no time, no client or no site.
    """
    names = tuple(name.lower() for name in fields.split())
    odd = next((name for name in names if not _FIELD.match(name)), None)
    if odd is not None or not _is_web(names):
        raise ValueError(f"no column is written {odd!r}" if odd else "the columns need a time, c-ip, and cs-host or cs-uri")
    return LogFormat(
        name=f"w3c:{fields}",
        title="W3C extended log without its header",
        reference=_REFERENCE,
        recognise=lambda records: sum(_fits(as_text(one), {len(names)}) for one in records) / max(1, len(records)),
        parse=lambda record, stream: _parsed(record, stream, names),
        yields=("http_request", "proxy_connect"),
        header_starts=FORMAT.header_starts,
        read_header=read_header,
    )


def _is_web(fields: Sequence[str]) -> bool:
    known = set(fields)
    return "c-ip" in known and not known.isdisjoint(_HOSTS) and not known.isdisjoint(_TIMES)


def _fits(text: str, counts: set[int]) -> bool:
    values = _values(text)
    return len(values) in counts or (len(values) - values.count("")) in counts


def _usual(text: str) -> tuple[str, ...] | None:
    values = _columns(text, len(_USUAL), more=True) if text[4:5] == "-" else None
    if values is None or values[7] not in ("OBSERVED", "PROXIED", "DENIED", "-"):
        return None
    return _USUAL if _DATE.match(values[0]) and _CLOCK.match(values[1]) else None


def _values(text: str) -> list[str]:
    if "\t" in text:
        return [value.removeprefix('"').removesuffix('"') for value in text.split("\t")]
    values, at, text = [], 0, text.rstrip(" ")
    while True:
        found = _VALUE.match(text, at)
        assert found is not None  # the second way matches nothing, too
        values.append(found[1].replace('""', '"') if found[1] is not None else found[2])
        at = found.end() + 1
        if at > len(text):
            return values


def _columns(text: str, count: int, *, more: bool = False) -> list[str] | None:
    """Return the values of *count* columns, None when there are others. Between two blanks is an empty value, or nothing."""
    values = _values(text)
    for one in ([value for value in values if value != ""], values):
        if len(one) == count or (more and len(one) > count):
            return one[:count]
    return None


def _parsed(record: bytes, stream: Stream, given: tuple[str, ...]) -> Sequence[Observation]:
    text = as_text(record)
    if text.startswith("#"):
        return ()
    fields = stream.header[1:] or given
    values = _columns(text, len(fields)) if fields else None
    if not fields:
        fields = _usual(text) or ()
        values = _columns(text, len(fields), more=True) if fields else None
    if values is None:
        raise Malformed(f"not the {len(fields)} columns of #Fields" if fields else "no #Fields before it")
    row = {name: value for name, value in zip(fields, values, strict=True) if value not in ("-", "")}
    return _observed(row, stream)


def _observed(row: Mapping[str, str], stream: Stream) -> Sequence[Observation]:
    method = (row.get("cs-method") or row.get("s-operation") or "").upper()
    tunnel = method == "CONNECT" or (row.get("cs-uri-scheme") or row.get("cs-protocol") or "").lower() in _TUNNELS
    url = next((row[key] for key in ("cs-uri", "c-uri", "cs-url", "x-cs-url") if key in row), None)
    name, port, path, query = _asked(row, url, "CONNECT" if tunnel else method)
    if name is None:
        return ()
    written = _number(row, "sc-status")
    status = _TMG_STATUS.get(written, written) if written is not None else None
    action = _action(row, status, tunnel)
    if tunnel and status == 0 and action == "allowed":
        status = None  # TMG's word for no error, of a tunnel that it let through
    ended, time_text = _time(row, stream)
    begun, duration = started(ended, _taken(row))
    user = next((row[key] for key in ("cs-username", "cs-user", "cs-userdn") if row.get(key, "-").lower() not in _NOBODY), None)
    proved = action != "challenged" and status != 401 and row.get("sc-authenticated") not in ("N", "No")
    others = (row.get("x-cs-sni") or "", host_of(row.get("cs(host)") or "") or "")
    return (
        Observation(
            time=begun,
            time_text=time_text,
            kind="proxy_connect" if tunnel else "http_request",
            client=row.get("c-ip"),
            client_port=_number(row, "c-port"),
            user=user if proved else None,
            claimed_user=None if proved else user,
            server=next((row[key] for key in ("r-ip", "s-supplier-ip", "x-cs-dst-ip") if key in row), None),
            server_port=port,
            name=name,
            names=others,
            url=url or (None if tunnel else _url(row, name, port, path, query)),
            path=None if tunnel else path,
            query=None if tunnel else query,
            method=method or None,
            status=status,
            user_agent=next((row[key] for key in ("cs(user-agent)", "c-agent", "cs-user-agent") if key in row), None),
            bytes_up=_number(row, "cs-bytes"),
            bytes_down=_number(row, "sc-bytes"),
            duration=duration,
            action=action,
            resolver=row.get("s-computername"),
        ),
    )


def _asked(row: Mapping[str, str], url: str | None, method: str) -> tuple[str | None, int | None, str | None, str | None]:
    host = host_of(row.get("cs-host") or row.get("r-host") or row.get("cs(host)") or "")
    port = _number(row, "cs-uri-port") or _number(row, "r-port")
    path = row.get("cs-uri-path") or row.get("cs-uri-stem") or row.get("x-cs-uri-path")
    query = row.get("cs-uri-query")
    asked = target(method, url) if url else None
    if asked is not None:
        return asked.name, asked.port or port, asked.path or path, asked.query if asked.query is not None else query
    return host, port, path or ("/" if host else None), query.removeprefix("?") if query else None


def _url(row: Mapping[str, str], name: str, port: int | None, path: str | None, query: str | None) -> str | None:
    scheme = (row.get("cs-uri-scheme") or "").lower()
    if not scheme:
        return None
    at = "" if port is None or (scheme, port) in (("http", 80), ("https", 443)) else f":{port}"
    host = f"[{name}]" if ":" in name else name
    return f"{scheme}://{host}{at}{path or ''}" + (f"?{query}" if query else "")


def _action(row: Mapping[str, str], status: int | None, tunnel: bool) -> Action | None:
    """Return what the proxy did. A log-in that it asked for first is no refusal by policy."""
    exception = row.get("x-exception-id", "")
    if status == 407 or exception.startswith("authentication"):
        return "challenged"
    said = next((row[key] for key in ("sc-filter-result", "action", "x-policy-action") if key in row), None)
    if said in _DENIED or exception.startswith("policy_denied") or row.get("s-action", "").startswith("TCP_DENIED"):
        return "blocked"
    if exception.startswith(_NOT_REACHED) or said == "Failed":
        return "failed"
    return "allowed" if said in _PASSED else tunnel_action(status) if tunnel else None


def _time(row: Mapping[str, str], stream: Stream) -> tuple[datetime, str]:
    """Return when the transaction ended in UTC, and the text that says so."""
    for key in ("x-timestamp-unix", "timestamp", "x-timestamp"):
        if _EPOCH.match(row.get(key, "")):
            return epoch_time(row[key]), row[key]
    clock = row.get("time", "")
    try:
        if _CLOCK.match(clock):
            text = f"{row['date']} {clock}" if "date" in row else clock
            day = row["date"] if "date" in row else _day(clock, stream)
            return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC), text
        for key in ("gmttime", "localtime"):
            found = _BRACKETS.match(row.get(key, ""))
            if found:
                zone = "+0000" if found[2] == "GMT" else found[2]
                return datetime.strptime(f"{found[1]} {zone}", "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC), row[key]
    except (ValueError, OverflowError) as error:
        raise Malformed(f"no time: {row.get('date', '')[:20]!r} {clock!r}") from error
    raise Malformed("no time")


def _day(clock: str, stream: Stream) -> str:
    """Return the day of a row that has none: that of `#Date`, or the next when its clock is behind the one there."""
    found = _DATE.match(stream.header[0]) if stream.header else None
    if found is None:
        raise Malformed("no date, and no #Date before it")
    after = found[2] is not None and clock < found[2]
    return (date.fromisoformat(found[1]) + timedelta(days=after)).isoformat()


def _taken(row: Mapping[str, str]) -> int | None:
    """Return milliseconds; a number with a fraction is in seconds, as the standard has it."""
    found = _TAKEN.match(row.get("time-taken") or row.get("x-elapsed-time") or "")
    if found is None:
        return None
    return round(float(found[0]) * 1000) if found[2] else int(found[1])


def _number(row: Mapping[str, str], name: str) -> int | None:
    value = row.get(name, "")
    return int(value) if _DIGITS.match(value) else None


FORMAT = LogFormat(
    name="w3c",
    title="W3C extended log: ProxySG, TMG, IIS",
    reference=_REFERENCE,
    recognise=recognise,
    parse=parse,
    yields=("http_request", "proxy_connect"),
    header_starts=(b"#Fields:", b"#Date:"),
    read_header=read_header,
)
