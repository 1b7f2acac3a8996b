"""Makes service files of what was read: checked one by one, with cases, as `sentinel rules test` wants them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from pydantic import ValidationError

from sentinel.signatures.catalog import Catalog
from sentinel.signatures.exports.target import DETECTED
from sentinel.signatures.file import Case, IndicatorEntry, ServiceFile
from sentinel.signatures.imports.item import Described, Refused, Taken
from sentinel.signatures.imports.sample import sample
from sentinel.signatures.lint import SHARED
from sentinel.signatures.matcher import Matcher
from sentinel.signatures.selftest import failures_of, observed
from sentinel.signatures.service import Indicator
from sentinel.signatures.spelling import fixed_part

MOST = 20_000
"""Indicators of one file: a file that people read, and that is read in seconds. More become several services."""

USABLE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
"""What an id of a service looks like: it becomes the name of a file."""

SURE = ("inferred", "reported", "confirmed")

CASES = 5
"""Cases of each kind that are written, for the first indicators; each is tried."""


@dataclass
class Written:
    """The files that came of an import, by name, and what is not in them."""

    files: dict[str, str] = field(default_factory=dict)
    indicators: int = 0
    refused: list[Refused] = field(default_factory=list)


def service_files(items: Iterable[Taken | Refused], default: Described, catalog: Catalog) -> Written:
    """Return the service files that *items* make; what names no service of its own belongs to *default*.

    What *catalog* watches already under another id is refused: a finding must not have two services.
    """
    known = _Known(catalog)
    written = Written()
    services: dict[str, Described] = {}
    groups: dict[str, list[Mapping[str, Any]]] = {}
    told: set[tuple[str, str]] = set()
    for item in items:
        if isinstance(item, Refused):
            written.refused.append(item)
            continue
        service = item.service if item.service and USABLE.match(item.service.id) else default
        entry, why = _checked(item.indicator)
        why = why or _category(service) or known.why(service.id, entry)
        if entry is None or why:
            written.refused.append(Refused(item.where, why or "no indicator"))
        elif (service.id, repr(entry)) in told:
            written.refused.append(Refused(item.where, "said before"))
        else:
            told.add((service.id, repr(entry)))
            groups.setdefault(service.id, []).append(item.indicator)
            # A secret search is worse than its service: how bad that is, the others say.
            if service.id not in services or groups[service.id][0].get("secret"):
                services[service.id] = service if service.references else replace(service, references=default.references)
    for name, indicators in groups.items():
        service = services[name]
        for part, begin in enumerate(range(0, len(indicators), MOST), 1):
            one = service if part == 1 else replace(service, id=f"{service.id}-{part}", name=f"{service.name} ({part})")
            written.files[f"{one.id}.yaml"] = _text(_file(one, indicators[begin : begin + MOST]))
        written.indicators += len(indicators)
    return written


def _checked(indicator: Mapping[str, Any]) -> tuple[IndicatorEntry | None, str | None]:
    try:
        entry = IndicatorEntry.model_validate(dict(indicator))
    except ValidationError as error:
        return None, str(error.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")
    name = entry.domain or entry.host or entry.mail_from or ""
    if name.removeprefix("www.") in SHARED:
        return None, "it serves much else: being there tells nothing"
    return entry, None


def _category(service: Described) -> str | None:
    return None if service.category in DETECTED else f"of the category {service.category}, which is no detection"


class _Known:
    """What a catalog watches."""

    def __init__(self, catalog: Catalog) -> None:
        self._matcher = Matcher(catalog)
        self._above: dict[str, set[str]] = {}
        for service in catalog.services.values():
            for name in filter(None, map(_place, service.indicators)):
                while name:
                    self._above.setdefault(name, set()).add(service.id)
                    name = name.partition(".")[2]

    def why(self, service: str, entry: IndicatorEntry | None) -> str | None:
        """Return why an indicator of *service* would claim what belongs to another one, None when it does not."""
        if entry is None:
            return None
        for case in _matching(entry):
            for match in self._matcher.match(observed(case)):
                if match.service.id != service:
                    return f"watched already as {match.service.id}"
        inside = self._above.get(entry.domain or "", set()) - {service}
        return f"hosts of {', '.join(sorted(inside))} lie below it" if inside else None


def _place(indicator: Indicator) -> str:
    url = indicator.url
    name = indicator.domain or indicator.host or indicator.mail_from or (url.host if url else None)
    return name or fixed_part(indicator.host_pattern or (url.host_pattern if url else None) or "")


def _file(service: Described, indicators: Sequence[Mapping[str, Any]]) -> ServiceFile:
    confidence = max((str(one.get("confidence", service.confidence)) for one in indicators), key=SURE.index)
    described = {
        "schema": 1,
        "id": service.id,
        "name": service.name,
        "category": service.category,
        "severity": service.severity,
        "confidence": confidence,
        "references": list(service.references),
        "indicators": [
            {key: value for key, value in one.items() if (key, value) != ("confidence", confidence)} for one in indicators
        ],
    }
    file = ServiceFile.model_validate(described)
    matcher = Matcher(Catalog.of([file.service]))
    some = file.indicators[: CASES * 4]
    match = [case for entry in some for case in _matching(entry)][:CASES]
    no_match = [case for entry in some for case in _unlike(entry) if not matcher.match(observed(case))][:CASES]
    cases = {"match": [_said(case) for case in match], "no_match": [_said(case) for case in no_match]}
    return ServiceFile.model_validate({**described, "tests": cases})


def _said(case: Case) -> dict[str, Any]:
    return case.model_dump(exclude_none=True)


def _matching(entry: IndicatorEntry) -> Iterator[Case]:
    """Yield a case that an indicator matches; for an app there is none."""
    url = entry.url
    path = url.path or sample(url.path_regex or "") if url else None
    if url and path:
        host = url.host or ("faces.example" if url.host_pattern == "*" else (url.host_pattern or "").replace("*", "x"))
        method = url.method[0] if isinstance(url.method, list) else url.method or "GET"
        given = [url.query] if isinstance(url.query, str) else url.query or []
        query = "&".join(f"{one}x" if one.endswith("=") else one for one in given)
        yield Case(url=f"{method} https://{host}{path}" + (f"?{query}" if query else ""))
    elif entry.mail_from:
        yield Case(mail_from=f"somebody@{entry.mail_from}")
    elif not url and (name := entry.domain or entry.host or (entry.host_pattern or "").replace("*", "x")):
        yield Case(sni=name)


def _unlike(entry: IndicatorEntry) -> Iterator[Case]:
    url = entry.url
    name = (
        entry.domain or entry.host or entry.mail_from or entry.host_pattern or (url.host or url.host_pattern if url else None)
    )
    if url:
        yield Case(url=f"https://news.example/?about={(name or '').replace('*', 'x')}")
    if name and name != "*":
        name = name.replace("*", "x")
        yield Case(sni=f"not{name}")
        yield Case(sni=f"{name}.example.org")
        yield Case(url=f"https://news.example/{name}")


def _text(file: ServiceFile) -> str:
    """Return a file as YAML, one line an indicator. Its own cases were tried.

    Raises:
        ValueError: One of them fails, which is a mistake of this module.
    """
    failed = failures_of([file])
    if failed:
        raise ValueError(f"{file.id}: {failed}")
    described = file.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=False)
    tests = described.pop("tests")
    indicators = described.pop("indicators")
    shown = {key: value for key, value in described.items() if value not in ([], None)}
    lines = yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=200)
    lines += "indicators:\n" + "".join(f"  - {_flow(_short(one))}\n" for one in indicators)
    lines += "tests:\n" + "".join(
        f"  {kind}:\n" + "".join(f"    - {_flow(one)}\n" for one in cases) for kind, cases in _kinds(tests)
    )
    return lines


def _kinds(tests: Mapping[str, list[dict[str, Any]]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for kind in ("match", "no_match"):
        yield kind, [{key: value for key, value in case.items() if value is not None} for case in tests[kind]]


def _short(indicator: dict[str, Any]) -> dict[str, Any]:
    """Return an indicator without what is so anyway."""
    kept = {key: value for key, value in indicator.items() if value is not False}
    if "url" in kept:
        kept["url"] = {key: value for key, value in kept["url"].items() if value is not False}
    return kept


def _flow(value: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(value), default_flow_style=True, sort_keys=False, allow_unicode=True, width=1_000_000).strip()
