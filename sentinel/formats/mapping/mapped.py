"""Makes a log format of a mapping: data that says how records are recognised, and which of their fields mean what.

A mapping is the plain tree of its YAML file (`mapping/file.py` says what may stand in it, and checks it). What all products
share is done here once: URLs come apart, CONNECT is a tunnel, a name that was asked for with 407 is only claimed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, lru_cache, partial
from typing import Any
from urllib.parse import unquote

from sentinel.formats.format import Malformed, Stream
from sentinel.formats.mailed import domain_of, mailbox
from sentinel.formats.mapping import shapes
from sentinel.formats.mapping.belief import Belief, Told
from sentinel.formats.mapping.shapes import Reader, Row, texts
from sentinel.formats.mapping.times import read as read_moment
from sentinel.formats.pattern import Pattern
from sentinel.formats.times import read_time
from sentinel.observation import Action, Observation, host_of, ip_address
from sentinel.packets.dns import TYPES

Spec = Mapping[str, Any]
"""A mapping as its file has it: texts, numbers, lists and objects."""

TARGETS = {
    "source.ip": "client",
    "source.address": "client",  # with a port behind it
    "source.port": "client_port",
    "destination.ip": "server",
    "destination.address": "server",
    "destination.port": "server_port",
    "user.name": "user",
    "sentinel.claimed_user": "claimed_user",
    "host.name": "device",
    "observer.name": "resolver",
    "dns.question.name": "name",
    "dns.question.type": "query_type",
    "dns.answers": "answers",
    "url.domain": "name",
    "url.original": "url",  # as written: with or without a scheme, or a path only
    "url.scheme": "scheme",
    "url.path": "path",
    "url.query": "query",
    "tls.client.server_name": "name",
    "tls.client.ja4": "ja4",
    "destination.domain": "name",
    "sentinel.names": "names",
    "email.from.address": "sender",
    "email.sender.address": "sender",  # of the envelope
    "email.to.address": "box",  # the mailboxes that got it, or were kept from it
    "sentinel.flow": "flow",
    "http.request.method": "method",
    "http.response.status_code": "status",
    "user_agent.original": "user_agent",
    "source.bytes": "bytes_up",
    "destination.bytes": "bytes_down",
    "event.duration": "duration",
}
"""What a field may mean, under its name in the Elastic Common Schema, and where an observation keeps it."""

NAMES = frozenset({"name", "names", "url", "answers", "path", "query", "sender"})
"""What is matched: how it may be spelt decides what the scanner looks for."""

TEXTS = NAMES | {"user_agent"}
"""What whoever asks may choose freely."""

IDENTITY = frozenset({"client", "client_port", "user", "claimed_user", "device", "flow", "box"})
"""What must never be guessed: taken only where no such text can have put it, and not when it is said twice, differently."""

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
NONE = ("", "-")

_ABSOLUTE = Pattern(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?//([^/?#]*)([^?#]*)(?:\?([^#]*))?", re.ASCII)
_BARE = Pattern(r"((?:[^/?#@\s]*@)?(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?)(?=[/?#]|\Z)([^?#]*)(?:\?([^#]*))?", re.ASCII)
_PORT = Pattern(r":(\d{1,5})\Z", re.ASCII)
_ADDRESS_PORT = Pattern(r"\[?([0-9A-Fa-f:.%\w]+?)\]?:(\d{1,5})\Z", re.ASCII)
_DIGITS = Pattern(r"(\d{1,18})(?:\.0+)?\Z", re.ASCII)
_SECONDS = Pattern(r"\d{1,15}(?:\.\d{1,12})?\Z", re.ASCII)
_TYPE = Pattern(r"(\d{1,5})(?: ?\(([A-Za-z0-9]+)\))?\Z", re.ASCII)
_DEFAULT_PORTS = {"https": 443, "http": 80, "ssl": 443, "tunnel": 443}
_HAVE_CNAMES = frozenset({"A", "AAAA", "CNAME", "HTTPS", "SVCB", "ANY", None})
_TOGETHER = frozenset({"name", "sender"})
_LOOKUPS = frozenset({"dns_query", "dns_answer", "process_dns"})
_NO_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  # what several products write for "none"

Took = dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class _Field:
    """Where a value comes from, and what is done to it."""

    target: str
    keys: tuple[str, ...]
    const: str | None = None
    before: str | None = None
    after: str | None = None
    split: str | None = None
    item: int | None = None
    containing: str | None = None
    decode: str | None = None
    unit: float = 1.0

    def texts(self, told: Told, none: frozenset[str]) -> list[str]:
        """Return what the first of the keys that says something says: one text, or several of a list."""
        if self.const is not None:
            return [self.const]
        found = self._of_keys(told.own, none, several=self.target not in IDENTITY)
        return found if found or self.target in IDENTITY else self.claims(told, none)

    def claims(self, told: Told, none: frozenset[str]) -> list[str]:
        """Return what the first of the keys says where a client's text may have put it."""
        return self._of_keys(told.perhaps, none, several=self.target in NAMES)

    def _of_keys(self, ask: Callable[[str], tuple[list[str], bool]], none: frozenset[str], *, several: bool) -> list[str]:
        for key in self.keys:
            values, differ = ask(key)
            if differ and not several:
                continue
            values = [text for value in values for text in self._parts(value) if text not in none]
            if values:
                return values
        return []

    def _parts(self, value: str) -> Iterator[str]:
        parts = value.split(self.split) if self.split else [value]
        if self.item is not None:
            parts = parts[self.item : self.item + 1]
        for part in parts:
            text = part.strip()
            if self.after is not None:
                text = text.rpartition(self.after)[2]
            if self.before is not None:
                text = text.partition(self.before)[0]
            if self.decode:
                text = _DECODE[self.decode](text)
            if self.containing is None or self.containing in text:
                yield text.strip()


_DECODE: dict[str, Callable[[str], str]] = {"percent": partial(unquote, errors="surrogateescape")}


@dataclass(frozen=True, slots=True)
class Condition:
    """What fields have to say: for each, one of some words in any case, where a star stands for any text."""

    words: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]

    @classmethod
    def of(cls, spec: Mapping[str, Any] | None) -> Condition:
        """Read `{field: word}`, `{field: [word, …]}`."""
        found = []
        for key, given in (spec or {}).items():
            wanted = [_word(one) for one in (given if isinstance(given, list) else [given])]
            exact = tuple(one for one in wanted if "*" not in one)
            found.append((key, exact, tuple(one for one in wanted if "*" in one)))
        return cls(tuple(found))

    def holds(self, row: Row) -> bool:
        """Return whether every field says one of its words."""
        return all(self._says(row.get(key), exact, patterns) for key, exact, patterns in self.words)

    def any_holds(self, row: Row) -> bool:
        """Return whether some field says one of its words."""
        return any(self._says(row.get(key), exact, patterns) for key, exact, patterns in self.words)

    @staticmethod
    def _says(value: Any, exact: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
        said = [text.strip().lower() for text in texts(value)]
        return any(text in exact or any(text not in NONE and _like(text, one) for one in patterns) for text in said)


def _like(text: str, pattern: str) -> bool:
    """Return whether *text* is *pattern*, whose stars stand for any text: piece after piece, each where it first occurs."""
    first, *rest = pattern.split("*")
    if not text.startswith(first):
        return False
    at = len(first)
    for piece in rest[:-1]:
        found = text.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return text.endswith(rest[-1]) and len(text) - len(rest[-1]) >= at


def _word(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value).lower()


@dataclass(frozen=True, slots=True)
class _Time:
    keys: tuple[tuple[str, ...], ...]
    form: str
    zone: str | None
    zone_key: str | None
    at_end: bool
    before: str | None

    def read(self, told: Told, stream: Stream, none: frozenset[str]) -> tuple[datetime, str] | None:
        """Return the time in UTC and as it is written; None when the record has no such field."""
        for keys in self.keys:
            parts = [text for key in keys for text in told.one(key)[:1] if text not in none]
            if len(parts) == len(keys):
                text = " ".join(parts)
                text = text.partition(self.before)[0] if self.before else text
                zone = next(iter(told.one(self.zone_key)), None) if self.zone_key else None
                return read_moment(text, self.form, zone or self.zone, stream.clock), text
        return None


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of record of a format, and what it is an observation of."""

    when: Condition
    unless: Condition
    kind: str | None
    fields: tuple[_Field, ...]
    actions: tuple[tuple[str, ...], tuple[tuple[Action, Condition], ...], Action | None]


class Mapped:
    """A mapping, made ready to read records."""

    def __init__(self, spec: Spec) -> None:
        """Compile *spec*, which `mapping/file.py` has checked."""
        self.name: str = spec["name"]
        self.none = frozenset((*NONE, *spec.get("none", ())))
        self.reader: Reader = _reader(spec)
        recognise = spec.get("recognise", {})
        self._has = tuple(recognise.get("has", ()))
        self._lacks = tuple(recognise.get("lacks", ()))
        self._where = Condition.of(recognise.get("where"))
        self._any = Condition.of(recognise.get("any"))
        self._forms = tuple(recognise.get("forms", {}).items())
        self._columns = tuple(spec.get("columns", ()))
        self._with_columns = _with_columns(spec) if spec["record"] == "csv" else None
        self._times = tuple(_time(one) for one in _list(spec.get("time")))
        common = _fields(spec.get("fields", {}))
        actions = spec.get("action")
        self.kinds = tuple(
            _Kind(
                Condition.of(one.get("when")),
                Condition.of(one.get("unless")),
                one.get("kind"),
                _with_common(_fields(one.get("fields", {})), common),
                _actions(one.get("action", actions)),
            )
            for one in spec["observations"]
        )

        self.belief = self._believing(spec)

    def recognises(self, record: bytes, columns: tuple[str, ...] = ()) -> bool:
        """Return whether a record is of this format, by its shape and the fields that it has; *columns* a header has named."""
        try:
            rows = shapes.rows(self._reading(columns), record)
        except Malformed:
            return False
        return bool(rows) and all(self._is_ours(row) for row in rows)

    def parse(self, record: bytes, stream: Stream) -> Sequence[Observation]:
        """Return what a record says.

        Raises:
            Malformed: Another shape, fields that this format always has are missing, or there is no time.
        """
        seen: list[Observation] = []
        for row in shapes.rows(self._reading(stream.header), record):
            if not self._is_ours(row):
                raise Malformed(f"not a record of {self.name}: {self._missing(row)}")
            for kind in self.kinds:
                if kind.when.holds(row) and not kind.unless.any_holds(row):
                    if kind.kind is not None:
                        seen += self._observations(row, kind, stream)
                    break
        return seen

    def rows(self, record: bytes, header: tuple[str, ...]) -> Sequence[Row]:
        """Return a record taken apart.

        Raises:
            Malformed: Another shape.
        """
        return shapes.rows(self._reading(header), record)

    def used(self) -> set[str]:
        """Return the fields that the mapping looks at."""
        found = {key for one in self._times for keys in one.keys for key in keys}
        found |= {one.zone_key for one in self._times if one.zone_key}
        for kind in self.kinds:
            found |= {key for one in kind.fields for key in one.keys}
            found |= {key for key, _exact, _starts in (*kind.when.words, *kind.unless.words)}
            found |= set(kind.actions[0])
        found |= {key for key, _exact, _starts in (*self._where.words, *self._any.words)} | set(self._has)
        return {one for key in found for one in key.split(" | ")}

    def doubted(self, row: Row) -> tuple[str | None, list[str]]:
        """Return the text behind which fields may be a piece of it, and those that are not taken for that reason."""
        told = self.belief.told(row)
        keys = {key for kind in self.kinds for one in kind.fields if one.target in IDENTITY for key in one.keys}
        return told.text, sorted(key for key in keys if told.perhaps(key)[0])

    def _believing(self, spec: Spec) -> Belief:
        chosen = {
            one for kind in self.kinds for f in kind.fields if f.target in TEXTS for key in f.keys for one in key.split(" | ")
        }
        return Belief(
            texts=frozenset(chosen),
            known=frozenset(self.used() - chosen),
            followed_by=spec.get("followed_by", {}),
            sorted_after=spec.get("sorted_after"),
        )

    def _reading(self, header: tuple[str, ...]) -> Reader:
        if self._with_columns is None:
            return self.reader
        if not header and not self._columns:
            raise Malformed("no header before it that names the columns")
        return self._with_columns(header or self._columns)

    def _is_ours(self, row: Row) -> bool:
        return (
            all(row.get(key) is not None for key in self._has)
            and not any(row.get(key) is not None for key in self._lacks)
            and self._where.holds(row)
            and (not self._any.words or self._any.any_holds(row))
            and all(_FORMS[form](next(iter(texts(row.get(key))), "")) for key, form in self._forms)
        )

    def _missing(self, row: Row) -> str:
        gone = [key for key in self._has if row.get(key) is None]
        return f"no {', '.join(gone)}" if gone else "its fields say something else"

    def _observations(self, row: Row, kind: _Kind, stream: Stream) -> list[Observation]:
        told = self.belief.told(row)
        took: Took = {}
        units: dict[str, float] = {}
        for one in kind.fields:
            found = one.texts(told, self.none) if one.target in _TOGETHER or one.target not in took else []
            if found and one.target == "sender":
                took["sender"] = [*took.get("sender", ()), *found]
            elif found and one.target in took:  # an SNI beside a Host: the access is tied to both
                took["names"] = [*took.get("names", ()), *found]
            elif found:
                took[one.target], units[one.target] = found, one.unit
        if not took.keys() & {"user", "claimed_user"}:
            claims = (one.claims(told, self.none) for one in kind.fields if one.target in ("user", "claimed_user"))
            took["claimed_user"] = next((found for found in claims if found), [])
        said = _said(kind.kind or "", {key: found for key, found in took.items() if found}, units)
        said.setdefault("resolver", row.envelope.host)
        action = self._action(told, kind)
        if said.get("status") == 407 and said["kind"] in ("http_request", "proxy_connect"):
            action = "challenged"
            # What comes with a request that was asked to log in was never checked.
            said["claimed_user"] = said.pop("user", None) or said.get("claimed_user")
        time, text, at_end = self._time(told, stream)
        if at_end and (took_secs := said.get("duration")) and timedelta(seconds=took_secs) < time - _EPOCH:
            time -= timedelta(seconds=took_secs)
        seen = Observation(time=time, time_text=text, action=action, **said)
        if kind.kind != "mail":
            return [seen]
        boxes = dict.fromkeys(box for box in map(mailbox, took.get("box", ())) if box)
        return [replace(seen, user=box) for box in boxes]

    def _time(self, told: Told, stream: Stream) -> tuple[datetime, str, bool]:
        for one in self._times:
            found = one.read(told, stream, self.none)
            if found:
                return *found, one.at_end
        written = told.row.envelope.time_text
        if written is None:
            raise Malformed("no time")
        return read_time(written, stream.clock), written, False

    def _action(self, told: Told, kind: _Kind) -> Action | None:
        keys, words, otherwise = kind.actions
        said = [text for key in keys for text in told.one(key) if text not in self.none]
        for action, condition in words:
            if said and condition.holds(Row({"": said}, told.row.envelope)):
                return action
        return otherwise if said or not keys else None


_EPOCH = datetime.fromisoformat("1970-01-02T00:00:00+00:00")


def _said(kind: str, took: Took, units: Mapping[str, float]) -> dict[str, Any]:
    """Return an observation's fields from the texts that were taken for them."""
    one = {target: texts[0] for target, texts in took.items()}
    said: dict[str, Any] = {
        key: one.get(key) for key in ("user", "claimed_user", "device", "flow", "ja4", "user_agent", "method")
    }
    if "resolver" in one:
        said["resolver"] = one["resolver"]
    said["client"], said["client_port"] = _peer(one.get("client"), one.get("client_port"))
    said["server"], said["server_port"] = _peer(one.get("server"), one.get("server_port"))
    said["query_type"] = query_type(one.get("query_type"))
    said["status"] = _number(one.get("status"), most=999)
    for key in ("bytes_up", "bytes_down"):
        said[key] = _number(one.get(key), most=1 << 60)
    if (seconds := one.get("duration")) and _SECONDS.match(seconds):
        said["duration"] = float(seconds) * units["duration"]
    written = [*took.get("name", ()), *took.get("names", ())]
    names = list(written) if kind in _LOOKUPS else [_host(name) for name in written]
    names += map(domain_of, took.get("sender", ()))
    if kind in ("http_request", "proxy_connect"):
        kind = "proxy_connect" if (one.get("method") or "").upper() == "CONNECT" else kind
        names = _asked(said, one, names, tunnel=kind == "proxy_connect")
    answers = tuple(ip_address(answer) or answer for answer in took.get("answers", ()))
    said["answers"] = answers
    if said["query_type"] in _HAVE_CNAMES:  # the names in answers to others, PTR first of all, are data
        names += [one for one in answers if ip_address(one) is None and "." in one and " " not in one]
    known = [name for name in names if name]
    return said | {"kind": kind, "name": known[0] if known else None, "names": tuple(known[1:])}


def _asked(said: dict[str, Any], one: Mapping[str, str], names: list[str | None], *, tunnel: bool) -> list[str | None]:
    """Add what a request was for, as far as the record says it; return the names, the URL's own first."""
    url, scheme = one.get("url"), (one.get("scheme") or "").lower()
    said |= {"url": url, "path": one.get("path"), "query": one.get("query")}
    port: int | None = None
    if url is not None:
        absolute = _ABSOLUTE.match(url)
        if absolute:
            scheme, authority, path, query = (absolute[1] or scheme).lower(), absolute[2], absolute[3], absolute[4]
        elif url.startswith("/"):
            path, _, asked = url.partition("?")
            authority, query = "", asked if "?" in url else None
        else:
            bare = _BARE.match(url)
            told = bare and ("." in bare[1] or ":" in bare[1])
            authority, path, query = (bare[1], bare[2], bare[3]) if bare and told else ("", "", None)
        if authority:
            names = [host_of(authority), *names]
            found = _PORT.search(authority)
            port = int(found[1]) if found and int(found[1]) < 65536 else _DEFAULT_PORTS.get(scheme)
            path = path or "/"
        if not tunnel:
            said |= {"path": said["path"] or path.partition("#")[0] or None, "query": said["query"] or query}
    if tunnel:
        said |= {"path": None, "query": None}
    if said["server_port"] is None:
        said["server_port"] = port or (_DEFAULT_PORTS.get(scheme) if any(names) else None)
    host = next((name for name in names if name), None)
    if url is None and host and said["path"] and scheme:
        said["url"] = f"{scheme}://{host}{said['path']}" + (f"?{said['query']}" if said["query"] else "")
    elif url is not None and url.startswith("/") and host and scheme:
        said["url"] = f"{scheme}://{host}{url}"
    return names


def _host(text: str) -> str | None:
    """Return the host of a field that should hold one, and may hold a port or a URL."""
    absolute = _ABSOLUTE.match(text)
    return host_of(absolute[2] if absolute else text.partition("/")[0])


def _peer(address: str | None, port: str | None) -> tuple[str | None, int | None]:
    if address is None:
        return None, None
    number = _number(port, most=65535) or None
    found = ip_address(address)
    if found is None:
        both = _ADDRESS_PORT.match(address)
        if both:
            found = ip_address(both[1])
            number = number or (int(both[2]) if int(both[2]) < 65536 else None)
    if found is None or found in _NO_ADDRESS:
        return None, None
    return found, number


def _number(text: str | None, most: int) -> int | None:
    found = _DIGITS.match(text) if text else None
    return int(found[1]) if found and int(found[1]) <= most else None


def query_type(text: str | None) -> str | None:
    """Return a DNS type in letters: from "1", "1 (A)", "TYPE65" or "A"; unknown numbers as RFC 3597 writes them."""
    if text is None:
        return None
    found = _TYPE.match(text.upper().removeprefix("TYPE"))
    if found:
        return found[2] or TYPES.get(int(found[1]), f"TYPE{int(found[1])}")
    return text.upper()


_FORMS: dict[str, Callable[[str], bool]] = {
    "ip": lambda text: ip_address(text) is not None,
    "number": lambda text: text.isascii() and text.isdigit(),
    "time": lambda text: re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\d{10,19}\Z|[A-Z][a-z]{2} [A-Z][a-z]{2} ", text) is not None,
    "name": lambda text: re.match(r"[\w-]{1,63}(?:\.[\w-]{1,63})*\.?\Z", text) is not None,
}
"""What a column without a name may have to look like, so that a format is told by it."""

FORMS = frozenset(_FORMS)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _fields(spec: Mapping[str, Any]) -> list[_Field]:
    return [_field(TARGETS[name], given) for name, given in spec.items()]


def _with_common(own: list[_Field], common: list[_Field]) -> tuple[_Field, ...]:
    """Return a kind's fields and the common ones, unless it says itself where such a value comes from."""
    said = {one.target for one in own}
    return (*own, *(one for one in common if one.target not in said))


def _field(target: str, given: Mapping[str, Any]) -> _Field:
    return _Field(
        target,
        tuple(_list(given.get("from"))),
        const=given.get("const"),
        before=given.get("before"),
        after=given.get("after"),
        split=given.get("split"),
        item=given.get("item"),
        containing=given.get("containing"),
        decode=given.get("decode"),
        unit=UNITS[given.get("unit", "s")],
    )


def _time(spec: Mapping[str, Any]) -> _Time:
    keys = tuple(tuple(one.split(" + ")) for one in _list(spec["from"]))
    return _Time(
        keys, spec.get("form", "auto"), spec.get("zone"), spec.get("zone_from"), spec.get("at") == "end", spec.get("before")
    )


def _actions(spec: Mapping[str, Any] | None) -> tuple[tuple[str, ...], tuple[tuple[Action, Condition], ...], Action | None]:
    if spec is None:
        return (), (), None
    # What was refused is never taken for what was reached: those words are asked for first.
    order: tuple[Action, ...] = ("blocked", "challenged", "failed", "allowed")
    words = tuple((name, Condition.of({"": spec[name]})) for name in order if name in spec)
    return tuple(_list(spec.get("from"))), words, spec.get("else")


def _reader(spec: Spec) -> Reader:
    shape = spec["record"]
    if shape == "json":
        return _json_reader(spec.get("each"))
    if shape == "pairs":
        return _pair_reader(
            spec.get("separator"), spec.get("quoted", False), spec.get("escapes", False), tuple(spec.get("keys", ()))
        )
    return {"leef": shapes.leef_rows, "xml": shapes.xml_rows}.get(shape, shapes.cef_rows)


@cache  # mappings of one shape share a reader, and with it the records that it has taken apart
def _json_reader(each: str | None) -> Reader:
    return partial(shapes.json_rows, each=each)


@cache
def _pair_reader(separator: str | None, quoted: bool, escapes: bool, keys: tuple[str, ...]) -> Reader:
    pattern = shapes.keys_pattern(keys) if keys else None
    return partial(shapes.pair_rows, separator=separator, quoted=quoted, escapes=escapes, keys=pattern)


def _with_columns(spec: Spec) -> Callable[[tuple[str, ...]], Reader]:
    delimiter, least = spec.get("delimiter", ","), spec.get("at_least")

    @lru_cache(maxsize=8)
    def reader(columns: tuple[str, ...]) -> Reader:
        return partial(shapes.csv_rows, delimiter=delimiter, columns=columns, least=least or len(columns))

    return reader
