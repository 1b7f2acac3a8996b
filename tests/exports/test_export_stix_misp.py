"""The STIX bundle and the MISP event in the libraries of their makers: valid, stable, and matching what Sentinel matches."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from sentinel.signatures import exports
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.exports.entry import Entry
from sentinel.signatures.exports.target import export
from sentinel.signatures.exports.targets.stix import SOURCE
from sentinel.signatures.matcher import Matcher
from sentinel.signatures.service import Indicator
from tests.exports import cases

pytestmark = pytest.mark.integration  # the whole catalog, through other people's parsers, takes seconds

stix2 = pytest.importorskip("stix2", reason="stix2 is not installed; tests/run gets it")
pymisp = pytest.importorskip("pymisp", reason="pymisp is not installed; tests/run gets it")


@cache
def indicators() -> list[dict[str, Any]]:
    """Return the indicators of the bundle."""
    return [one for one in json.loads(cases.text("stix"))["objects"] if one["type"] == "indicator"]


def test_the_bundle_is_valid_and_each_pattern_is_one():
    """stix2 refuses properties that STIX 2.1 does not know, and patterns that its grammar does not."""
    bundle = stix2.parse(cases.text("stix"), allow_custom=False)
    assert len(bundle.objects) == len(indicators()) + 1
    assert {one["pattern_type"] for one in indicators()} == {"stix"}


def test_an_indicator_keeps_its_id_and_its_birth():
    """A platform that imports the next export updates what it holds instead of holding it twice."""
    fewer = [one for one in cases.catalog().services.values() if one.id != "pimeyes"]
    after = export(exports.target("stix"), Catalog.of(fewer), cases.MADE)
    again = {one["id"]: one for one in json.loads(next(iter(after.files.values())))["objects"] if one["type"] == "indicator"}
    kept = {one["id"]: one for one in indicators() if one["external_references"][0]["external_id"] != "pimeyes"}
    assert again == kept
    assert len({one["id"] for one in indicators()}) == len(indicators())


def observed(scos: list[dict[str, Any]], number: int) -> dict[str, Any]:
    """Return a bundle of one observation of *scos*."""
    times = dict.fromkeys(("created", "modified", "first_observed", "last_observed"), "2026-11-25T08:30:00Z")
    data = {"type": "observed-data", "spec_version": "2.1", "id": f"observed-data--{UUID(int=number, version=4)}", **times}
    seen = {**data, "number_observed": 1, "object_refs": [one["id"] for one in scos]}
    return {"type": "bundle", "id": f"bundle--{UUID(int=number, version=4)}", "objects": [seen, *scos]}


def sco(kind: str, number: int, **properties: Any) -> dict[str, Any]:
    """Return an observable."""
    return {"type": kind, "spec_version": "2.1", "id": f"{kind}--{UUID(int=number, version=4)}", **properties}


def of_request(method: str, url: str, number: int) -> list[dict[str, Any]]:
    """Return what a sensor that sees a whole request tells of it."""
    parts = urlsplit(url)
    value = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = {"request_method": method, "request_value": value, "request_header": {"Host": parts.netloc}}
    return [
        sco("url", number, value=url),
        sco("domain-name", number, value=parts.hostname),
        sco("network-traffic", number, protocols=["tcp", "http"], extensions={"http-request-ext": request}),
    ]


def of_mail(sender: str, number: int) -> list[dict[str, Any]]:
    """Return what a mail gateway tells of a message."""
    address = sco("email-addr", number, value=sender)
    return [address, sco("email-message", number, is_multipart=False, from_ref=address["id"])]


def alone(one: Indicator) -> Matcher:
    """Return a matcher that knows but one indicator."""
    service = next(service for service in cases.catalog().services.values() if one in service.indicators)
    return Matcher(Catalog.of([replace(service, indicators=(one,))]))


def described() -> Iterator[tuple[dict[str, Any], Indicator]]:
    """Yield the indicators of the bundle beside those of the catalog."""
    by_name = {
        (service.id, f"{service.name}: {Entry(service, one).indicator.label}"): one
        for service in cases.catalog().services.values()
        for one in service.indicators
    }
    for one in indicators():
        yield one, by_name[one["external_references"][0]["external_id"], one["name"]]


def near(one: Indicator) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """Return names, requests and senders that an indicator means, or nearly."""
    host = (one.domain or one.host or one.host_pattern or one.mail_from or "").replace("*", "x")
    names = [host, f"a.{host}", f"not{host}", f"{host}.example.org", host.replace("x", "x.y", 1)] if host else []
    url = one.url
    requests = []
    if url:
        on = (url.host or url.host_pattern or "").replace("*", "x")
        requests = [(method, target) for method, target in cases.requests() if on in target][:12]
    senders = [f"help@{one.mail_from}", f"help@mail.{one.mail_from}", f"{one.mail_from}@news.example"] if one.mail_from else []
    return names, requests, senders


def test_each_pattern_matches_what_the_indicator_matches():
    """By OASIS's own matcher, over observations of names, requests and mails."""
    matching = pytest.importorskip("stix2matcher.matcher", reason="stix2-matcher is not installed; tests/run gets it")
    matched = 0
    for number, (written, one) in enumerate(described(), 1):
        names, requests, senders = near(one)
        pattern = matching.Pattern(written["pattern"], "2.1")
        ours = alone(one)
        asked = [([sco("domain-name", number, value=name)], cases.looked_up(name)) for name in names if not one.mail_from]
        asked += [(of_request(method, url, number), cases.requested(method, url)) for method, url in requests]
        asked += [(of_mail(sender, number), cases.mailed(sender)) for sender in senders]
        for scos, seen in asked:
            found = bool(pattern.match([observed(scos, number)]))
            assert found == bool(ours.match(seen)), f"{written['pattern']} on {scos}"
            matched += found
    assert matched > len(indicators())


def test_what_a_service_is_stands_in_its_indicators():
    """An analyst who meets the indicator in a platform sees whose it is, how bad, and how sure."""
    one = next(one for one in indicators() if one["name"].endswith("domain clearview.ai"))
    assert one["external_references"][0] == {"source_name": SOURCE, "external_id": "clearview-ai"}
    severity = cases.catalog().services["clearview-ai"].severity
    assert set(one["labels"]) == {"face-search", f"severity:{severity}", "stage:contact"}
    hidden = [written for written, one in described() if one.secret]
    assert hidden
    assert all("severity:critical" in one["labels"] for one in hidden)


def test_the_event_is_valid_and_survives_misps_own_library():
    """PyMISP checks types, categories and identifiers as MISP does when it takes an event in."""
    event = pymisp.MISPEvent()
    event.load(cases.text("misp"))
    written = json.loads(cases.text("misp"))["Event"]["Attribute"]
    types = event.describe_types
    assert len(event.attributes) == len(written)
    assert len({one.uuid for one in event.attributes}) == len(written)
    for one in event.attributes:
        assert one.type in types["types"]
        assert one.type in types["category_type_mappings"][one.category]


def test_the_attributes_to_detect_by_are_the_catalogs_names_and_literal_urls():
    """MISP hands to_ids attributes to other tools: a shared host must not be one of them."""
    written = [one for one in json.loads(cases.text("misp"))["Event"]["Attribute"] if one["to_ids"]]
    names = {one["value"] for one in written if one["type"] in ("domain", "hostname")}
    every = [one for service in cases.catalog().services.values() for one in service.indicators]
    assert names <= {one.domain or one.host for one in every}
    assert names == {name for name in names if cases.services(cases.said("misp"), cases.looked_up(name))}
    for one in written:
        if one["type"] == "url":
            assert cases.services(cases.said("misp"), cases.requested("GET", one["value"])), one["value"]
