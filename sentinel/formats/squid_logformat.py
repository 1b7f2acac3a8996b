"""Squid's access.log by any `logformat`: the built-in `common` and `combined`, and whatever line the administrator wrote.

    logformat mine %{%Y-%m-%dT%H:%M:%S%z}tl client=%>a user=%[un method=%rm url="%ru" sni=%ssl::>sni status=%>Hs squid=%Ss

The part behind the name, given as `logformat` in a source's settings, is compiled into the pattern that reads the lines. Squid
writes a line when the transaction ends; with `%tr` the start is known.

Reference: http://www.squid-cache.org/Doc/config/logformat/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from sentinel.formats.envelope import peel
from sentinel.formats.format import Clock, LogFormat, Malformed, Stream, as_text
from sentinel.formats.pattern import Pattern
from sentinel.formats.proxied import Target, squid_action, squid_server, squid_user, started, target
from sentinel.formats.template import Column, Part, compiled, unquoted
from sentinel.formats.times import epoch_time
from sentinel.observation import Observation, ip_address

_REFERENCE = "http://www.squid-cache.org/Doc/config/logformat/"

_ADDRESS = r"(?:[0-9A-Fa-f.:]{2,45}(?:%[\w.-]{1,20})?|-)"
_CLIENT = rf"(?=[^.:\s]{{0,4}}[.:]|-){_ADDRESS}"
"""An address. Without its dots or colons it might be a syslog header's month: "Dec" and "Feb" are hexadecimal."""
_COUNT = r"(?:-?\d{1,19}|-)"
_RESULT = r"[A-Z][A-Z_]{2,40}"
_CODES: dict[str, Column] = {
    "ts": Column("seconds", r"\d{1,11}"),
    "tu": Column("fraction", r"\d{1,6}"),
    "tS": Column("start", r"\d{1,11}\.\d{3}"),
    "tr": Column("took", r"-?\d{1,19}"),
    ">a": Column("client", _CLIENT),
    ">A": Column("client_name", r"[^\s\"]{1,255}"),
    ">p": Column("client_port", r"(?:\d{1,5}|-)"),
    "<a": Column("server", _ADDRESS),
    "<A": Column("server_name"),
    "<p": Column("server_port", r"(?:\d{1,5}|-)"),
    "un": Column("user"),
    "ul": Column("login"),
    "ui": Column("ident"),
    "us": Column("certified"),
    "ue": Column("external"),
    "rm": Column("method", r"[^\s\"]{1,64}"),
    ">rm": Column("method", r"[^\s\"]{1,64}"),
    "ru": Column("url"),
    ">ru": Column("url"),
    "rv": Column(None, r"[\d.]{1,8}"),
    ">rv": Column(None, r"[\d.]{1,8}"),
    ">rs": Column("scheme", r"(?:[A-Za-z][A-Za-z0-9+.-]{0,20}|-)"),
    ">rd": Column("domain"),
    ">rP": Column("port", r"(?:\d{1,5}|-)"),
    "rp": Column("path"),
    ">rp": Column("path"),
    "Hs": Column("status", r"(?:\d{1,3}|-)"),
    ">Hs": Column("status", r"(?:\d{1,3}|-)"),
    "Ss": Column("result", _RESULT),
    "Sh": Column("how", r"[A-Z][A-Z_]{2,40}"),
    ">st": Column("up", _COUNT),
    "<st": Column("down", _COUNT),
    "st": Column(None, _COUNT),
    ">sh": Column(None, _COUNT),
    "<sh": Column(None, _COUNT),
    "<Hs": Column(None, r"(?:\d{1,3}|-)"),
    "mt": Column(None),
    "ssl::>sni": Column("sni"),
    "dt": Column(None, r"(?:\d{1,9}|-)"),
    "<pt": Column(None, r"(?:-?\d{1,9}|-)"),
    "<tt": Column(None, r"(?:-?\d{1,9}|-)"),
    "<bs": Column(None, _COUNT),
    "la": Column(None, _ADDRESS),
    ">la": Column(None, _ADDRESS),
    "<la": Column(None, _ADDRESS),
    "lp": Column(None, r"(?:\d{1,5}|-)"),
    ">lp": Column(None, r"(?:\d{1,5}|-)"),
    "<lp": Column(None, r"(?:\d{1,5}|-)"),
    ">eui": Column(None, r"[0-9A-Fa-f:.-]{1,40}"),
    "sn": Column(None, r"\d{1,20}"),
}
_PASSED_OVER = (
    *("et", "ea", "err_code", "err_detail", "note", "credentials", "busy_time", "request_attempts", "tag", "rG", "rp", "<rm"),
    *("<rs", "<ru", "<rd", "<rP", "<rp", "<rv", ">ha", ">qos", "<qos", ">nfmark", "<nfmark", ">handshake", "<h", ">h"),
    *(
        f"ssl::{side}{what}"
        for side in "<>"
        for what in ("cert_subject", "cert_issuer", "cert_errors", "cert", "negotiated_version")
    ),
    *(f"ssl::{side}{what}" for side in "<>" for what in ("received_hello_version", "received_supported_version")),
    *(
        "ssl::>negotiated_cipher",
        "ssl::<negotiated_cipher",
        "ssl::bump_mode",
        "transport::>connection_id",
        "proxy_protocol::>h",
    ),
    *("adapt::<last_h", "adapt::sum_trs", "adapt::all_trs", "icap::tt", "icap::tr", "icap::tio", "icap::to", "icap::Hs"),
    *(
        "icap::ru",
        "icap::rm",
        "icap::rs",
        "icap::rid",
        "icap::<st",
        "icap::>st",
        "icap::<bs",
        "icap::>h",
        "icap::<h",
        "icap::<A",
    ),
)
_CODES |= {code: Column(None) for code in _PASSED_OVER if code not in _CODES}
_TIMES = ("tl", "tg")
_TOKEN = Pattern(
    r"%(?:(?P<percent>%)|(?P<style>[\"'\[#/])?(?P<left>-)?(?P<zero>0)?(?P<width>\d{1,3})?(?:\.\d{1,3})?(?:\{(?P<before>[^}]*)\})?"
    r"(?:http::)?(?P<code>" + "|".join(re.escape(code) for code in sorted((*_CODES, *_TIMES), key=len, reverse=True)) + r")"
    r"(?:\{(?P<behind>[^}]*)\})?)",
    re.ASCII,
)
_PADDING = " {0,40}"
_HEADERS = {"user-agent": "agent", "host": "host"}
_DEFAULT_TIME = "%d/%b/%Y:%H:%M:%S %z"
_DIRECTIVES = {
    "Y": r"\d{4}", "m": r"\d\d", "d": r"\d\d", "e": r"[ \d]\d", "H": r"\d\d", "M": r"\d\d", "S": r"\d\d", "I": r"\d\d",
    "y": r"\d\d", "j": r"\d{3}", "b": r"[A-Z][a-z]{2}", "h": r"[A-Z][a-z]{2}", "a": r"[A-Z][a-z]{2}", "B": r"[A-Z][a-z]{2,8}",
    "A": r"[A-Z][a-z]{5,8}", "p": r"[AP]M", "z": r"[+-]\d\d-?:?\d\d", "Z": r"[A-Z]{1,6}", "%": "%",
}  # fmt: skip
_SHORT = {"T": "%H:%M:%S", "F": "%Y-%m-%d", "D": "%m/%d/%y", "R": "%H:%M", "c": "%a %b %e %H:%M:%S %Y"}
_ODD_ZONE = Pattern(r"([+-]\d\d)-(\d\d)\Z")

COMMON = '%>a %[ui %[un [%tl] "%rm %\'ru HTTP/%rv" %>Hs %<st %Ss:%Sh'
COMBINED = '%>a %[ui %[un [%tl] "%rm %\'ru HTTP/%rv" %>Hs %<st "%\'{Referer}>h" "%\'{User-Agent}>h" %Ss:%Sh'
"""Squid does not escape quotes in the built-in formats, as it does in one that an administrator writes."""


def of_template(template: str, *, name: str | None = None, title: str | None = None, tested_with: str = "") -> LogFormat:
    """Return the format of the lines that Squid writes by *template*, the part of a `logformat` line behind its name.

    Raises:
        ValueError: A code that Squid does not know, or a template that names no time or no site.
    """
    parts, quoted, clock = _parts(template)
    pattern = compiled(parts)
    keys = {part.key for part in parts if isinstance(part, Column) and part.key}
    if keys.isdisjoint({"url", "domain", "sni", "host"}):
        raise ValueError("the logformat names no site: %ru, %>rd or %ssl::>sni is needed")
    if keys.isdisjoint({"client", "client_name"}):
        raise ValueError("the logformat does not say who asked: %>a is needed")

    def recognise(records: Sequence[bytes]) -> float:
        return sum(_matched(pattern, as_text(record)) is not None for record in records) / max(1, len(records))

    def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
        found = _matched(pattern, as_text(record))
        if found is None:
            raise Malformed(f"not as the logformat says: {template[:80]}")
        match, host = found
        fields = {key: _value(text, key in quoted) for key, text in match.groupdict().items() if text is not None}
        return _observed(fields, clock, stream.clock, host)

    return LogFormat(
        name=name or f"squid:{template}",
        title=title or "Squid access.log by a logformat of its own",
        reference=_REFERENCE,
        spelling="zeek",  # it escapes bytes in the same way
        recognise=recognise,
        parse=parse,
        signs=(max((part for part in parts if isinstance(part, str)), key=len, default="").encode(),),
        yields=("http_request", "proxy_connect"),
        tested_with=tested_with or "Squid 5.7 and 7.7",
    )


def _matched(pattern: Pattern, text: str) -> tuple[re.Match[str], str | None] | None:
    found = pattern.match(text)
    if found is not None:
        return found, None
    peeled = peel(text)
    found = pattern.match(peeled.message) if peeled.time_text is not None else None
    return (found, peeled.host) if found is not None else None


def _parts(template: str) -> tuple[list[Part], frozenset[str], str | None]:
    """Return literals and columns, which keys are escaped with backslashes, and how the local time is written."""
    parts: list[Part] = []
    quoted: set[str] = set()
    clock: str | None = None
    at, inside = 0, False
    for token in _tokens(template):
        literal = template[at : token.start()]
        at = token.end()
        inside ^= literal.count('"') % 2 == 1
        if token["code"] in ("rv", ">rv") and literal.endswith("HTTP/"):
            _add(parts, literal.removesuffix("HTTP/"))
            parts.append(Column(None, "[A-Z]{2,10}/"))  # "NONE/0.0" where no request came
        else:
            _add(parts, literal)
        if token["percent"]:
            _add(parts, "%")
            continue
        argument = token["before"] or token["behind"]
        if token["code"] in _TIMES and argument == "%s":
            parts.append(_CODES["ts"])
            continue
        if token["code"] in _TIMES:
            clock = argument or _DEFAULT_TIME
            parts.append(Column("clock", _time_pattern(clock)))
            continue
        column = _column(token["code"], argument)
        escaped = token["style"] == '"' or (inside and token["style"] is None)
        if escaped and column.pattern is None:
            column = Column(column.key, escaped=True)
            quoted.update([column.key] if column.key else [])
        if token["width"] and not token["zero"] and column.pattern:
            column = Column(column.key, f"{_PADDING}{column.pattern}{_PADDING if token['left'] else ''}")
        parts.append(column)
    _add(parts, template[at:])
    return parts, frozenset(quoted), clock


def _tokens(template: str) -> Iterator[re.Match[str]]:
    at = template.find("%")
    while at >= 0:
        token = _TOKEN.match(template, at)
        if token is None:
            raise ValueError(f"no code of Squid's: {template[at : at + 20]!r}")
        yield token
        at = template.find("%", token.end())


def _add(parts: list[Part], literal: str) -> None:
    if parts and isinstance(parts[-1], str):
        parts[-1] += literal
    elif literal:
        parts.append(literal)


def _column(code: str, argument: str | None) -> Column:
    if code == ">h" and argument:
        return Column(_HEADERS.get(argument.partition(":")[0].strip().lower()))
    return _CODES[code]


def _time_pattern(written: str) -> str:
    pattern, at = "", 0
    written = _long(written)
    for found in re.finditer(r"%(.)", written):
        if found[1] not in _DIRECTIVES:
            raise ValueError(f"the time is written with {found[0]!r}, which cannot be read back")
        pattern += re.escape(written[at : found.start()]) + _DIRECTIVES[found[1]]
        at = found.end()
    return pattern + re.escape(written[at:])


def _value(text: str, quoted: bool) -> str | None:
    text = unquoted(text) if quoted else text.strip(" ")
    return None if text in ("", "-") else text


def _observed(
    fields: Mapping[str, str | None], clock_form: str | None, clock: Clock, host: str | None
) -> Sequence[Observation]:
    asked = _asked(fields)
    method = fields.get("method") or ""
    if asked is None or method.startswith("ICP_"):
        return ()
    status = _number(fields, "status")
    challenged = status == 407
    user, claimed = _users(fields)
    time, time_text, duration = _time(fields, clock_form, clock)
    client = fields.get("client") or fields.get("client_name")
    others = [name for name in (fields.get("sni"), fields.get("host")) if name]
    return (
        Observation(
            time=time,
            time_text=time_text,
            kind="proxy_connect" if method == "CONNECT" else "http_request",
            client=client,
            client_port=_number(fields, "client_port"),
            device=fields.get("client_name") if ip_address(fields.get("client_name")) is None else None,
            user=None if challenged else user,
            claimed_user=(user or claimed) if challenged else claimed,
            server=squid_server(fields.get("how") or "", fields.get("server") or ""),
            server_port=asked.port,
            name=asked.name,
            names=tuple(name.partition(":")[0] if name.count(":") == 1 else name for name in others),
            url=fields.get("url"),
            path=asked.path,
            query=asked.query,
            method=method or None,
            status=status,
            user_agent=fields.get("agent"),
            bytes_up=_number(fields, "up"),
            bytes_down=_number(fields, "down"),
            duration=duration,
            action=squid_action(fields.get("result") or "", status or 0) if fields.get("result") or challenged else None,
            resolver=host,
        ),
    )


def _asked(fields: Mapping[str, str | None]) -> Target | None:
    url, method = fields.get("url"), fields.get("method") or ""
    if url is not None:
        return target(method, url)
    name = fields.get("domain") or fields.get("sni") or fields.get("host")
    if name is None:
        return None
    path, mark, query = (fields.get("path") or "").partition("?")
    return Target(name.rpartition("@")[2], _number(fields, "port"), path or None, query if mark else None)


def _users(fields: Mapping[str, str | None]) -> tuple[str | None, str | None]:
    """Return who logged in, and who was only named: what the client's machine says (`%ui`) `%un` repeats for want of better."""
    ident = squid_user(fields.get("ident"))
    proved = next((fields[key] for key in ("login", "certified", "external") if fields.get(key)), None)
    user = squid_user(proved or fields.get("user"))
    return (None, ident) if user is not None and user == ident and proved is None else (user, ident)


def _time(fields: Mapping[str, str | None], form: str | None, clock: Clock) -> tuple[datetime, str | None, float | None]:
    """Return the start, the time as written and the seconds that it took."""
    took = _number(fields, "took")
    if fields.get("start"):
        begun = fields["start"] or ""
        return epoch_time(begun), begun, None if took is None or took < 0 else took / 1000
    seconds, written = fields.get("seconds"), fields.get("clock")
    if seconds is not None:
        fraction = fields.get("fraction")
        written = f"{seconds}.{fraction.zfill(3)}" if fraction else seconds
        ended = epoch_time(written)
    elif written is not None and form is not None:
        ended = _read_clock(written, form, clock)
    else:
        ended = clock.undated()
    return (*_begun(ended, written, took),)


def _begun(ended: datetime, written: str | None, took: int | None) -> tuple[datetime, str | None, float | None]:
    begun, duration = started(ended, took)
    return begun, written, duration


def _read_clock(written: str, form: str, clock: Clock) -> datetime:
    # Squid writes a zone of -03:30 as "-03-30".
    text = _ODD_ZONE.sub(r"\1\2", written)
    try:
        time = datetime.strptime(text, _long(form).replace("%e", "%d"))  # noqa: DTZ007 - the clock knows the device's zone
        return clock.local(time) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Malformed(f"no time: {written[:40]!r}") from error


def _long(form: str) -> str:
    """Return a strftime form without the directives that stand for several others."""
    return re.sub(r"%([A-Za-z])", lambda found: _SHORT.get(found[1], found[0]), form)


def _number(fields: Mapping[str, str | None], key: str) -> int | None:
    text = fields.get(key)
    return int(text) if text is not None else None


FORMATS = (
    of_template(COMMON, name="squid-common", title="Squid access.log, common format"),
    of_template(COMBINED, name="squid-combined", title="Squid access.log, combined format"),
)
