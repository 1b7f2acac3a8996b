"""Formats that are data: one YAML file each under `formats/mappings/`, and those of the user's own.

A mapping is compiled when a record with its shape is first met: most runs read logs of one or two formats. The built-in ones
are kept together in `builtin.json`, which `python -m sentinel.formats.mapping.bundle` writes: YAML would take longer to read
than the rest of the start.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sentinel.formats.format import LogFormat, Malformed, Spelling, Stream
from sentinel.observation import Observation

if TYPE_CHECKING:
    from sentinel.formats.mapping.mapped import Mapped

GENERIC, PRODUCT, OWN = 0, 1, 2
"""Which of two mappings reads a record that both recognise: the user's own, then a product's, then one for a whole shape."""

BUNDLE = Path(__file__).with_name("builtin.json")

_MATCHED = frozenset(
    (
        "dns.question.name",
        "dns.answers",
        "url.domain",
        "url.original",
        "url.path",
        "url.query",
        "tls.client.server_name",
        "destination.domain",
        "sentinel.names",
        "email.from.address",
        "email.sender.address",
    )
)


class Lazy:
    """A mapping that is compiled when it is first needed."""

    def __init__(self, spec: Mapping[str, Any], rank: int) -> None:
        """Take a checked mapping; nothing is compiled yet."""
        self.spec = spec
        self.rank = GENERIC if spec.get("generic") and rank == PRODUCT else rank
        self.starts = tuple(start.encode() for start in spec.get("header", ()))
        self._skipped = tuple(start.encode() for start in spec.get("skip", ()))
        self._needles = tuple(_needles(spec))
        self._delimiter = spec.get("delimiter", ",").encode() if spec["record"] == "csv" else b""
        self._delimiters = spec.get("at_least", len(spec.get("columns", ()))) - 1

    @cached_property
    def mapped(self) -> Mapped:
        """The mapping, compiled."""
        from sentinel.formats.mapping.mapped import Mapped

        return Mapped(self.spec)

    def recognise(self, records: Sequence[bytes]) -> float:
        """Return the share of *records* that look like this format and that no mapping before it claims, 0.0 to 1.0."""
        columns: tuple[str, ...] = ()
        if self.starts:
            columns = next((_columns(record, self.spec) for record in records if self._is_header(record)), ())
        return sum(self._claims(record, columns) for record in records) / max(1, len(records))

    def parse(self, record: bytes, stream: Stream) -> Sequence[Observation]:
        """Return what one record says.

        Raises:
            Malformed: As `Mapped.parse` does.
        """
        tells_nothing = self._is_header(record) or (self._skipped and record.startswith(self._skipped))
        return () if tells_nothing else self.mapped.parse(record, stream)

    def read_header(self, record: bytes, _header: tuple[str, ...]) -> tuple[str, ...]:
        """Return the columns that a header line names."""
        return _columns(record, self.spec)

    def looks_like(self, record: bytes, columns: tuple[str, ...] = ()) -> bool:
        """Return whether a record is one of this format, whoever else claims it."""
        for needle in self._needles:
            if needle not in record:
                return False
        if self._delimiter and not columns and (self._delimiters < 0 or record.count(self._delimiter) < self._delimiters):
            return False
        return self.mapped.recognises(record, columns)

    def _claims(self, record: bytes, columns: tuple[str, ...]) -> bool:
        if self._is_header(record):
            return True
        return self.looks_like(record, columns) and not any(
            other.rank > self.rank and other.spec["record"] == self.spec["record"] and other.looks_like(record)
            for other in KNOWN.values()
        )

    def _is_header(self, record: bytes) -> bool:
        return bool(self.starts) and record.startswith(self.starts)

    def log_format(self) -> LogFormat:
        """Return the format, as every other."""
        spec = self.spec
        percent = any(name in _MATCHED and "decode" in given for name, given in _fields(spec))
        spelling: Spelling = "json" if spec["record"] == "json" else "percent" if percent else "plain"
        return LogFormat(
            name=spec["name"],
            title=spec["title"],
            reference=spec["reference"],
            spelling=spelling,
            recognise=self.recognise,
            signs=(self._needles[0], *self.starts) if self._needles else (),
            parse=self.parse,
            yields=tuple(dict.fromkeys(kind for kind in _kinds(spec))),
            header_starts=self.starts,
            read_header=self.read_header if self.starts else None,
            version=spec.get("version", 1),
            tested_with=spec.get("tested_with", "samples only"),
            made_as="mapping",
        )


GivenBy = Literal["settings", "command"]

_OWN: dict[GivenBy, list[Mapping[str, Any]]] = {"settings": [], "command": []}

KNOWN: dict[str, Lazy] = {}
"""The mappings in force, by name."""


def register(specs: Sequence[Mapping[str, Any]], given_by: GivenBy) -> None:
    """Put the user's own mappings, checked, into force in place of those that *given_by* gave before.

    One that has the name of a built-in mapping takes its place.
    """
    from sentinel.formats import FORMATS as ALL

    before = own_specs()
    if list(specs) == _OWN.get(given_by, []):  # another thread may be reading by them
        return
    _OWN[given_by] = list(specs)
    for name in {spec["name"] for spec in before} - {spec["name"] for spec in own_specs()}:
        KNOWN.pop(name, None)
        ALL.pop(name, None)
    KNOWN.update({name: one for name, one in _BUILTIN.items() if name not in KNOWN})
    KNOWN.update({spec["name"]: Lazy(spec, OWN) for spec in own_specs()})
    ALL.update({name: one.log_format() for name, one in KNOWN.items() if one.rank == OWN or name not in ALL})


def own_specs(given_by: GivenBy | None = None) -> list[Mapping[str, Any]]:
    """Return the user's own mappings that are in force, all or what one place gave: another process needs them to read by."""
    return [spec for place, specs in _OWN.items() for spec in specs if given_by in (None, place)]


def _fields(spec: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from spec.get("fields", {}).items()
    for one in spec["observations"]:
        yield from one.get("fields", {}).items()


def _kinds(spec: Mapping[str, Any]) -> Iterator[str]:
    for one in spec["observations"]:
        kind = one.get("kind")
        if kind:
            yield kind
        if kind == "http_request" and any(name == "http.request.method" for name, _ in _fields(spec)):
            yield "proxy_connect"


def _needles(spec: Mapping[str, Any]) -> Iterator[bytes]:
    """Yield what stands in every record of a format, so that most others are told apart without being taken apart."""
    shape, recognise = spec["record"], spec.get("recognise", {})
    if shape in ("cef", "leef"):
        yield b"|"
        return
    if shape in ("json", "xml"):
        yield b"{" if shape == "json" else b"<Event"
    for paths in recognise.get("has", ()) if shape != "csv" else ():
        # A path's last part: its beginning may be nested or written out, and the quotes of what is in a text are escaped.
        lasts = {path.rpartition(".")[2] for path in paths.split(" | ")}
        if len(lasts) == 1:
            yield lasts.pop().encode()
    said = recognise.get("where" if shape == "csv" else "any", {}).values()
    words = {word for word in said if isinstance(word, str) and "*" not in word}
    if shape == "csv" or len(words) == 1 == len(set(map(str, said))):
        yield from (word.partition("/")[0].encode() for word in words)


def _columns(record: bytes, spec: Mapping[str, Any]) -> tuple[str, ...]:
    from sentinel.formats.mapping.shapes import cells

    try:
        return tuple(cells(record.decode("utf-8", "replace"), spec.get("delimiter", ",")))
    except Malformed:
        return ()


def _builtin() -> Iterator[Lazy]:
    for spec in json.loads(BUNDLE.read_bytes()):
        yield Lazy(spec, PRODUCT)


_BUILTIN = {one.spec["name"]: one for one in _builtin()}
KNOWN.update(_BUILTIN)
FORMATS = [one.log_format() for one in KNOWN.values()]
