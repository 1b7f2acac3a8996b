"""The mapping file: what may stand in it, and every mistake in it at once. See `docs/formats.md`."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sentinel.formats import FORMATS
from sentinel.formats.clock import zone_of
from sentinel.formats.mapping.mapped import FORMS, NAMES, TARGETS
from sentinel.located import validate
from sentinel.observation import Kind
from sentinel.problems import Problem, Problems

Word = str | int | bool
Words = Word | list[Word]
When = dict[str, Words]
Keys = str | list[str]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _zone(name: str) -> str:
    if name != "UTC":
        zone_of(name)
    return name


def _form(form: str) -> str:
    if form in ("auto", "webkit"):
        return form
    if "%" not in form:
        raise ValueError("a form is auto, webkit, or one of strptime such as '%d.%m.%Y %H:%M:%S'")
    try:
        dt.datetime.strptime(dt.datetime(2024, 2, 28, tzinfo=dt.UTC).strftime(form), form)  # noqa: DTZ007
    except ValueError as error:
        raise ValueError(f"no form of strptime: {error}") from None
    return form


class Recognise(_Model):
    """By what a record is told; all of it has to hold."""

    has: list[str] = Field(default_factory=list, description="Fields that every record has.")
    lacks: list[str] = Field(default_factory=list, description="Fields that no record has.")
    where: When = Field(default_factory=dict, description="What fields say: a word or several, in any case; * is any text.")
    any: When = Field(default_factory=dict, description="What at least one of these fields says.")
    forms: dict[str, str] = Field(default_factory=dict, description="What columns look like: ip, number, time or name.")

    @model_validator(mode="after")
    def _tells_something(self) -> Recognise:
        if not (self.has or self.where or self.any or self.forms):
            raise ValueError("recognise needs has, where, any or forms: else every record of this shape would be claimed")
        unknown = sorted(set(self.forms.values()) - FORMS)
        if unknown:
            raise ValueError(f"no form is called {unknown[0]!r}; there are {', '.join(sorted(FORMS))}")
        return self


class Time(_Model):
    """When it happened. Of several, the first that a record has is taken; without any, its syslog header's."""

    source: Keys = Field(alias="from", description="The field; `date + time` joins two; of a list the first that is there.")
    form: Annotated[str, AfterValidator(_form)] = Field("auto", description="auto, webkit, or a form of strptime.")
    zone: Annotated[str, AfterValidator(_zone)] | None = Field(None, description="IANA zone of times without one.")
    zone_from: str | None = Field(None, description="The field that holds the zone, as an offset such as +0100.")
    before: str | None = Field(None, min_length=1, description="Only what stands before this.")
    at: Literal["start", "end"] = Field("start", description="`end`: the event's duration is taken off.")


class FieldFrom(_Model):
    """Where a value comes from, and what is done to it."""

    source: Keys | None = Field(None, alias="from", description="The field; of a list the first that says something.")
    const: str | None = Field(None, description="This value, whatever the record says.")
    before: str | None = Field(None, min_length=1, description="Only what stands before this.")
    after: str | None = Field(None, min_length=1, description="Only what stands behind the last of this.")
    split: str | None = Field(None, min_length=1, description="Several values, which this parts.")
    item: int | None = Field(None, ge=0, description="Of what `split` parts only this one, counted from 0.")
    containing: str | None = Field(None, min_length=1, description="Only a value in which this stands.")
    decode: Literal["percent"] | None = Field(None, description="Undo %XX.")
    unit: Literal["s", "ms", "us", "ns"] = Field("s", description="Of a duration.")

    @model_validator(mode="after")
    def _says_where(self) -> FieldFrom:
        if (self.source is None) == (self.const is None):
            raise ValueError("a field has either from or const")
        if self.item is not None and self.split is None:
            raise ValueError("item needs split, which parts the items")
        return self


def _field_name(name: str) -> str:
    if name not in TARGETS:
        close = difflib.get_close_matches(name, TARGETS, n=1)
        mend = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(TARGETS))}"
        raise ValueError(f"no field is called {name!r}; {mend}")
    return name


# Written out before they are checked: a union would tell a mistake once for each of its branches.
Fields = dict[
    Annotated[str, AfterValidator(_field_name)],
    Annotated[FieldFrom, BeforeValidator(lambda given: {"from": given} if isinstance(given, str | list) else given)],
]
Times = Annotated[list[Time], BeforeValidator(lambda given: given if isinstance(given, list) else [given])]
ActionWord = Literal["allowed", "blocked", "challenged", "failed"]


class Action(_Model):
    """What was done with the access; blocked is asked for first."""

    source: Keys = Field(alias="from", description="The field, or several.")
    allowed: Words | None = None
    blocked: Words | None = None
    challenged: Words | None = None
    failed: Words | None = None
    otherwise: ActionWord | None = Field(None, alias="else", description="What any other word means; left out, nothing.")


class Kinds(_Model):
    """One kind of record; the first whose conditions hold is taken."""

    when: When = Field(default_factory=dict)
    unless: When = Field(default_factory=dict, description="Not when any of these holds.")
    kind: Kind | None = Field(None, description="Left out: such a record tells of no access.")
    fields: Fields = Field(default_factory=dict)
    action: Action | None = None


class MappingFile(_Model):
    """A mapping."""

    schema_: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[a-z][a-z0-9-]{1,39}$")
    title: str = Field(min_length=3)
    reference: str = Field(pattern=r"^https?://")
    tested_with: str = "samples only"
    version: int = Field(1, ge=1)
    record: Literal["json", "csv", "pairs", "cef", "leef", "xml"]
    generic: bool = Field(False, description="Leave records to every other mapping that recognises them.")
    each: str | None = Field(None, description="json: the list whose items are the records.")
    separator: str | None = Field(None, min_length=1, description="pairs: what parts them; left out, blanks.")
    quoted: bool = Field(False, description='pairs: only key="value" and key:"value" count, wherever they stand.')
    escapes: bool = Field(False, description="pairs: texts stand in quotes, and quotes in them have a backslash before them.")
    followed_by: dict[str, str] = Field(
        default_factory=dict, description="What the product always writes directly behind a text that a client may choose."
    )
    sorted_after: str | None = Field(None, description="pairs: the field behind which all are sorted by name.")
    keys: list[str] = Field(default_factory=list, description="pairs: the only keys, where values hold blanks and other =.")
    delimiter: str = Field(",", min_length=1, max_length=1, description="csv")
    columns: list[str] = Field(default_factory=list, description="csv: names by position; an empty one is not of interest.")
    at_least: int | None = Field(None, ge=1, description="csv: how many columns there are at least.")
    header: list[str] = Field(default_factory=list, description="csv: how a line begins that names the columns.")
    skip: list[str] = Field(default_factory=list, description="How lines begin that tell of nothing, such as headings.")
    none: list[str] = Field(default_factory=list, description="Words for nothing, beside the empty text and -.")
    recognise: Recognise
    time: Times = Field(default_factory=list)
    fields: Fields = Field(default_factory=dict)
    action: Action | None = None
    observations: list[Kinds] = Field(min_length=1)

    @model_validator(mode="after")
    def _holds_together(self) -> MappingFile:
        for name in self._wrong_shape():
            raise ValueError(f"{name!r} is nothing for records of the shape {self.record!r}")
        if self.record == "csv" and not (self.columns or self.header):
            raise ValueError("csv needs columns, header, or both")
        for one in (self.fields, *(kind.fields for kind in self.observations)):
            for name, given in one.items():
                self._check_field(name, given)
        return self

    def _wrong_shape(self) -> list[str]:
        belongs = {
            "each": "json",
            "separator": "pairs",
            "quoted": "pairs",
            "escapes": "pairs",
            "sorted_after": "pairs",
            "keys": "pairs",
            "columns": "csv",
            "at_least": "csv",
            "header": "csv",
            "delimiter": "csv",
        }
        return [name for name in belongs if name in self.model_fields_set and self.record != belongs[name]]

    def _check_field(self, name: str, given: FieldFrom) -> None:
        if given.decode and self.record == "json" and TARGETS[name] in NAMES:
            raise ValueError(f"{name}: what is searched for in JSON cannot be decoded once more")


def load_mapping(path: Path) -> dict[str, Any]:
    """Read one mapping and return its tree, as `mapping.register` takes it.

    Raises:
        Problems: Every mistake in it, with file and line.
    """
    return validate(MappingFile, path).model_dump(by_alias=True, exclude_defaults=True, exclude_none=True)


def load_mappings(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Read mappings: files, and folders of files that end in .yaml or .yml.

    Raises:
        Problems: Every mistake in all of them; two that have one name; a folder that is not there.
    """
    problems: list[Problem] = []
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for file in [file for path in paths for file in _files(path, problems)]:
        try:
            spec = load_mapping(file)
        except Problems as error:
            problems += error.problems
            continue
        taken = FORMATS.get(spec["name"])
        if taken is not None and taken.made_as != "mapping":
            what = f"the name {spec['name']!r} is that of a format which is no mapping"
            problems.append(Problem(str(file), 0, what, "Give it another name."))
        if spec["name"] in found:
            other = found[spec["name"]][0]
            problems.append(
                Problem(str(file), 0, f"the name {spec['name']!r} is that of {other} too", "Give one another name.")
            )
        found[spec["name"]] = file, spec
    if problems:
        raise Problems(problems)
    return [spec for _file, spec in found.values()]


def _files(path: Path, problems: list[Problem]) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml"))
    if not path.exists():
        problems.append(Problem(str(path), 0, "no such file or folder of mappings", "Create it or mend the path."))
        return []
    return [path]
