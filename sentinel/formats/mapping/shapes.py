"""The shapes that records of mapped formats have: each taken apart into fields by name, whatever the product.

References: CEF, https://www.microfocus.com/documentation/arcsight/arcsight-smartconnectors-8.4/pdfdoc/cef-implementation-standard/cef-implementation-standard.pdf;
LEEF, https://www.ibm.com/docs/en/dsm?topic=overview-leef-event-components; CSV, RFC 4180; JSON, RFC 8259.
"""

from __future__ import annotations

import csv
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from sentinel.formats.envelope import Envelope, peel
from sentinel.formats.format import Malformed, as_text
from sentinel.formats.pattern import Pattern
from sentinel.formats.times import ISO, MONTH_FIRST

Shape = Literal["json", "csv", "pairs", "cef", "leef", "xml"]

Says = str | Sequence[str] | None

CACHED = 16 * 1024
"""Bytes of the largest record that is kept taken apart: many mappings look at each of the records that decide a format."""

_BEFORE_JSON = 512
_KEY = Pattern(r"(?<!\S)[A-Za-z_][\w.\-]{0,63}=", re.ASCII)
_CEF_KEY = Pattern(r"(?<!\S)[A-Za-z0-9_.\-\[\]]{1,64}=", re.ASCII)
_QUOTED = Pattern(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_QUOTED_PAIR = Pattern(r'(?<![^\s;\[|])([A-Za-z_][\w.\-]{0,63})[=:]"((?:[^"\\]|\\.)*)"', re.ASCII | re.DOTALL)
_ESCAPED = Pattern(r"\\([\\=|,\"\]nr])")
_CEF = Pattern(r"(?:CEF: ?|(?<!\S)(?=\d\|))\d{1,2}(?:\.\d)?\|")
_LEEF = Pattern(r"(?:LEEF: ?)(?P<version>[12](?:\.\d)?)\|")
_DELIMITER = Pattern(r"(?P<text>[^\w\s]|\t|0?x[0-9A-Fa-f]{2,4}|)\|", re.ASCII)
_PRIORITY = Pattern(r"\A<\d{1,3}>")
_BARE_HEADER = Pattern(rf"(?:<\d{{1,3}}> ?)?(?P<time>{MONTH_FIRST}|{ISO})(?: (?P<host>[\w.:-]+)(?= [^\s|]))?(?=\s)", re.ASCII)
_HEADER = ("deviceVendor", "deviceProduct", "deviceVersion", "deviceEventClassId", "name", "severity")
_WRAPPERS = ("message", "log", "event.original", "_raw", "MESSAGE", "line")
_NEWLINES = {"n": "\n", "r": "\r"}


class Said(NamedTuple):
    """One key and its value, in the order of the record; `closed`: no part of the value can look like another field."""

    key: str
    value: str
    closed: bool


class Twice(list[Any]):
    """What an object of JSON says under a key that it has twice, differently."""


@dataclass(frozen=True, slots=True)
class Row:
    """A record taken apart. In `values` text shapes have texts; JSON has what it has, nested.

    `said` holds all that a text shape says, in its order and with what is said twice: a value may hold text that looks like
    another field, and only the order shows what it cannot have made up (`mapping/belief.py`). None: JSON.
    """

    values: Mapping[str, Any]
    envelope: Envelope
    said: tuple[Said, ...] | None = None

    def get(self, path: str) -> Any:
        """Return what a field holds, None when it is not there.

        A dot leads into an object, a list, or JSON in a text; of several paths with ` | ` between, the first that is there.
        """
        found = self.values.get(path)
        if found is not None:
            return found
        if " | " in path:
            return next((found for one in path.split(" | ") if (found := self.get(one)) is not None), None)
        return walk(self.values, path) if "." in path else None


def enveloped(text: str) -> Envelope:
    """Peel a text; many products send the time and the host of a syslog header without a program behind them."""
    peeled = peel(text)
    header = None if peeled.time_text else _BARE_HEADER.match(text)
    if header is None:
        return peeled
    return Envelope(text[header.end() :].lstrip(), header["time"], header["host"], None)


Reader = Callable[[bytes], Sequence[Row]]


def texts(value: Any) -> list[str]:
    """Return what a value says as texts: one, or those of a list."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, int):
        return [str(value)] if -(1 << 63) < value < 1 << 64 else []
    return [text for item in value[:MOST_ITEMS] for text in texts(item)] if isinstance(value, list) else []


def walk(here: Any, path: str) -> Any:
    """Follow a dotted *path*. Keys that hold dots themselves come first; a list gives what each of its items has."""
    if isinstance(here, str) and here.startswith("{"):
        here = _loads(here)
    if isinstance(here, list):
        head, _, rest = path.partition(".")
        if head.isdecimal():
            item = here[int(head)] if int(head) < len(here) else None
            return walk(item, rest) if rest else item
        found = [one for item in here[:MOST_ITEMS] if (one := walk(item, path)) is not None]
        return (Twice(found) if isinstance(here, Twice) else found) or None
    if not isinstance(here, dict):
        return None
    end = len(path)
    while end > 0:
        key = path[:end]
        if key in here:
            return here[key] if end == len(path) else walk(here[key], path[end + 1 :])
        end = path.rfind(".", 0, end)
    return None


MOST_ITEMS = 64
"""Items of a list that are looked at: an answer has a few."""


def _loads(text: str) -> Any:
    try:
        return json.loads(text, parse_float=str, parse_constant=str, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None


# --- JSON ---------------------------------------------------------------------------------------------------------------


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object. What a key says twice is kept twice: a writer that pastes texts into JSON lets them add keys."""
    found = dict(pairs)
    if len(found) < len(pairs):
        for key in {key for key, value in pairs if value != found[key]}:
            found[key] = Twice(value for other, value in pairs if other == key)
    return found


_DECODER = json.JSONDecoder(parse_float=str, parse_constant=str, object_pairs_hook=_object)
"""Numbers stay as they are written: a time has more digits than a float keeps."""


def json_rows(record: bytes, each: str | None = None) -> Sequence[Row]:
    """Take apart a line of JSON: an object, several end to end, or a list of them on this line.

    What stands before the first brace (a syslog header, a container's) is taken off; an object that only wraps another one,
    as text under `message` or the like, is opened.

    Raises:
        Malformed: No JSON object, or a piece of one that goes on in the next line.
    """
    text = as_text(record).strip()
    if text in ("[", "]", ","):  # a list with one object a line
        return ()
    begin = text.find("{")
    if begin < 0 or begin > _BEFORE_JSON:
        raise Malformed("no JSON object")
    envelope = enveloped(text[:begin] + "-") if begin > 1 else Envelope("")
    rows = [Row(one, envelope) for one in _objects(text, begin)]
    if each is None:
        return rows
    found: list[Row] = []
    for row in rows:
        inner = row.get(each)
        listed = inner if isinstance(inner, list) else [row.values]
        found += [Row(one, envelope) for one in listed if isinstance(one, dict)]
    return found


def _objects(text: str, at: int) -> Iterator[dict[str, Any]]:
    while at < len(text):
        try:
            found, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            if text.rstrip(" ,").endswith(("{", "[")) or text.lstrip(" [") in ("{", ""):
                raise Malformed("a JSON object over several lines; write one a line, as 'jq -c .' does") from error
            raise Malformed(f"no JSON: {str(error)[:80]}") from error
        if not isinstance(found, dict):
            raise Malformed("no JSON object")
        yield _unwrapped(found)
        while at < len(text) and text[at] in " ,]\t":
            at += 1


def _unwrapped(found: dict[str, Any]) -> dict[str, Any]:
    for key in _WRAPPERS:
        inner = found.get(key)
        if isinstance(inner, str) and inner.startswith("{") and isinstance(opened := _loads(inner), dict):
            return opened
    return found


# --- key=value ----------------------------------------------------------------------------------------------------------


def pairs(text: str, key: Pattern = _KEY, *, quotes: bool = True, escapes: bool = False) -> Iterator[Said]:
    """Yield keys and values, which blanks part; a value without quotes ends where the next key begins.

    What stands before the first key is `lead`.

    Args:
        text: The pairs.
        key: What a key looks like, with its equals sign.
        quotes: Whether a value may stand in quotes.
        escapes: Whether quotes inside of those are escaped: then one that is not closed was cut with the record.
    """
    begins = key.search(text)
    yield Said("lead", text[: begins.start() if begins else len(text)].strip(), True)
    while begins is not None:
        name, at = begins[0][:-1], begins.end()
        quoted = _QUOTED.match(text, at) if quotes else None
        cut = escapes and quoted is None and text.startswith('"', at)
        begins = None if cut else key.search(text, quoted.end() if quoted else at)
        if quoted:
            yield Said(name, unescaped(quoted[1]), escapes)
        else:
            yield Said(name, _unquoted(unescaped(text[at : begins.start() if begins else len(text)])), cut)


def quoted_pairs(text: str) -> Iterator[Said]:
    """Yield the keys and values of `key="value"` and `key:"value"`; all else between them is passed over."""
    for found in _QUOTED_PAIR.finditer(text):
        yield Said(found[1], unescaped(found[2]), True)


def split_pairs(text: str, separator: str) -> Iterator[Said]:
    """Yield keys and values that *separator* parts. A part without a key goes on with the value before it; first is `lead`."""
    name, value = "lead", ""
    for part in text.strip().rstrip(separator).split(separator):
        key, equals, rest = part.partition("=")
        if equals and _KEY.fullmatch(key.strip() + "="):
            yield Said(name, unescaped(_unquoted(value)), False)
            name, value = key.strip(), rest
        else:
            value = f"{value}{separator}{part}" if value else part
    yield Said(name, unescaped(_unquoted(value)), False)


def _unquoted(value: str) -> str:
    value = value.strip()
    for _ in range(2):  # a feed may quote what was quoted already
        value = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    return value


def unescaped(value: str) -> str:
    r"""Undo `\=`, `\|`, `\"`, `\]`, `\\`, `\n` and `\r`; other backslashes are the value's own."""
    if "\\" not in value:
        return value
    return str(_ESCAPED.sub(lambda found: _NEWLINES.get(found[1], found[1]), value))


def keyed(found: Iterator[Said], envelope: Envelope, header: Mapping[str, str] | None = None) -> Row:
    """Gather pairs into a row; what the header says is never overwritten, and of what is said twice the first text counts."""
    values: dict[str, str] = dict(header or {})
    said = tuple(one for one in found if header is None or one.key not in header)
    for one in said:
        if not values.get(one.key):
            values[one.key] = one.value
    headed = tuple(Said(key, value, True) for key, value in (header or {}).items())
    return Row(values, envelope, headed + said)


def pair_rows(record: bytes, separator: str | None, quoted: bool, escapes: bool, keys: Pattern | None) -> Sequence[Row]:
    """Take apart a line of `key=value`.

    Raises:
        Malformed: There is no pair in it.
    """
    text = _PRIORITY.sub("", as_text(record))
    envelope = enveloped(text)
    if quoted:
        found = quoted_pairs(text)
    elif separator:
        found = split_pairs(peel(text).message, separator)
    else:
        found = pairs(text, keys or _KEY, escapes=escapes)
    row = keyed(found, envelope)
    if len(row.values) < 2:
        raise Malformed("no key=value")
    return (row,)


def keys_pattern(keys: Sequence[str]) -> Pattern:
    """Return what finds these keys only: values that are not quoted may hold other words with an equals sign."""
    return Pattern(rf"(?<!\S)(?:{'|'.join(re.escape(key) for key in sorted(keys, key=len, reverse=True))})=")


# --- XML ----------------------------------------------------------------------------------------------------------------

_EVENT = Pattern(r"<Event(?:\s[^<>]*)?>(?P<inside>.*)</Event>", re.DOTALL)
_ELEMENT = Pattern(r"<(?P<name>[A-Z]\w{0,63})(?P<attributes>(?:\s[^<>]*?)?)(?:/>|>(?P<text>[^<>]*)</(?P=name)>)", re.ASCII)
_ATTRIBUTE = Pattern(r"""\s(?P<name>[A-Z]\w{0,63})\s{0,8}=\s{0,8}(?:"(?P<double>[^"<>]*)"|'(?P<single>[^'<>]*)')""", re.ASCII)


def xml_rows(record: bytes) -> Sequence[Row]:
    """Take apart a Windows event that stands as XML in one record, whatever syslog header is before it.

    An element has its name and its text, `Data` the name that it gives itself; an attribute stands behind the element's name
    and a dot: `EventID`, `QueryName`, `TimeCreated.SystemTime`. No text can hold a tag, as its writer escapes the brackets.

    Raises:
        Malformed: No whole event.
    """
    text = as_text(record)
    begins = text.find("<Event")
    event = _EVENT.match(text, begins) if 0 <= begins <= _BEFORE_JSON else None
    if event is None:
        raise Malformed("no '<Event …>' with its end in one record")
    envelope = enveloped(text[:begins] + "-") if begins > 0 else Envelope("")
    return (Row(_object(list(_elements(event["inside"]))), envelope),)


def _elements(text: str) -> Iterator[tuple[str, str]]:
    for element in _ELEMENT.finditer(text):
        said = {one["name"]: one["double"] or one["single"] or "" for one in _ATTRIBUTE.finditer(element["attributes"])}
        named = html.unescape(said.pop("Name", "")) if element["name"] == "Data" else ""
        if element["text"] is not None:
            yield named or element["name"], html.unescape(element["text"].strip())
        for name, value in said.items():
            yield f"{element['name']}.{name}", html.unescape(value)


# --- CEF and LEEF -------------------------------------------------------------------------------------------------------


def cef_rows(record: bytes) -> Sequence[Row]:
    """Take apart a CEF event; the seven header fields have ArcSight's names (`deviceVendor`, `deviceProduct`, …).

    Raises:
        Malformed: No CEF header.
    """
    text = as_text(record)
    begins = _CEF.search(text)
    if begins is None:
        raise Malformed("no 'CEF:0|vendor|product|version|id|name|severity|'")
    header, rest = _bars(text[begins.end() :], len(_HEADER))
    if len(header) < len(_HEADER):
        raise Malformed("the CEF header breaks off")
    found = pairs(rest, _CEF_KEY, quotes=False)  # CEF knows none: they are the value's own
    return (keyed(found, enveloped(text[: begins.start()] + "-"), dict(zip(_HEADER, header, strict=True))),)


def leef_rows(record: bytes) -> Sequence[Row]:
    """Take apart a LEEF event, 1.0 or 2.0, whatever parts its attributes: tabs, the character it names, or PAN-OS's bars.

    Raises:
        Malformed: No LEEF header.
    """
    text = as_text(record)
    begins = _LEEF.search(text)
    if begins is None:
        raise Malformed("no 'LEEF:1.0|vendor|product|version|id|'")
    header, rest = _bars(text[begins.end() :], 4)
    if len(header) < 4:
        raise Malformed("the LEEF header breaks off")
    delimiter = "\t"
    named = _DELIMITER.match(rest) if begins["version"].startswith("2") else None
    if named:
        delimiter, rest = _character(named["text"]), rest[named.end() :]
    elif "\t" not in rest:
        # syslog daemons write a tab as #011; PAN-OS parts by bars.
        delimiter = "#011" if "#011" in rest else "|" if rest.count("|") > 1 else "\t"
    names = dict(zip(_HEADER, header, strict=False))
    return (keyed(split_pairs(rest, delimiter), enveloped(text[: begins.start()] + "-"), names),)


def _character(named: str) -> str:
    if len(named) < 2:
        return named or "\t"
    return chr(int(named.rpartition("x")[2], 16))


def _bars(text: str, most: int) -> tuple[list[str], str]:
    r"""Return the first *most* fields, which `|` ends unless a backslash stands before it, and what follows them."""
    fields: list[str] = []
    begin = at = 0
    while len(fields) < most and (at := text.find("|", at)) >= 0:
        backslashes = len(text[begin:at]) - len(text[begin:at].rstrip("\\"))
        if backslashes % 2 == 0:
            fields.append(unescaped(text[begin:at]).strip())
            begin = at + 1
        at += 1
    return fields, text[begin:]


# --- CSV ----------------------------------------------------------------------------------------------------------------


def cells(text: str, delimiter: str) -> list[str]:
    """Return the cells of one line. A quote that is not closed is what a line break in a cell leaves behind.

    Raises:
        Malformed: The quotes do not match.
    """
    if text.count('"') % 2:
        raise Malformed("a quote that is not closed: a cell with a line break in it, or a line that was cut")
    try:
        found = next(csv.reader((text,), delimiter=delimiter, skipinitialspace=delimiter != " "), [])
    except csv.Error as error:
        raise Malformed(f"no CSV: {error}") from error
    return [cell.strip() for cell in found]


def _strict(text: str, delimiter: str) -> bool:
    """Return whether each quote of a line either begins or ends a cell, or is doubled."""
    try:
        next(csv.reader((text,), delimiter=delimiter, skipinitialspace=delimiter != " ", strict=True), [])
    except csv.Error:
        return False
    return True


def csv_rows(record: bytes, delimiter: str, columns: Sequence[str], least: int) -> Sequence[Row]:
    """Take apart a line of CSV by position. Newer versions of a product append columns: more than are named are passed over.

    Raises:
        Malformed: Fewer than *least* cells, or the quotes do not match.
    """
    text = as_text(record)
    envelope = peel(text)
    found = cells(envelope.message, delimiter)
    if len(found) < least:
        raise Malformed(f"{len(found)} columns where there are at least {least}")
    # A text that was not quoted as it should be makes more cells, and those behind it stand under others' names.
    closed = len(found) == len(columns) and _strict(envelope.message, delimiter)
    said = tuple(Said(name, cell, closed) for name, cell in zip(columns, found, strict=False) if name)
    return (Row({one.key: one.value for one in said}, envelope, said),)


@lru_cache(maxsize=256)
def _kept(reader: Reader, record: bytes) -> Sequence[Row] | str:
    try:
        return reader(record)
    except Malformed as error:
        return str(error)


def rows(reader: Reader, record: bytes) -> Sequence[Row]:
    """Return what *reader* makes of a record; a small one is kept for the next mapping that asks.

    Raises:
        Malformed: As *reader* does.
    """
    if len(record) > CACHED:
        return reader(record)
    kept = _kept(reader, record)
    if isinstance(kept, str):
        raise Malformed(kept)
    return kept
