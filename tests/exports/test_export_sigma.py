"""The Sigma rules through pySigma: valid, converted for three backends, and in SQLite they find what Sentinel finds."""

from __future__ import annotations

import re
import sqlite3
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from sentinel.signatures.exports.target import DETECTED
from tests.exports import cases

pytest.importorskip("sigma", reason="pySigma is not installed; tests/run gets it")

from sigma.backends.elasticsearch import LuceneBackend
from sigma.backends.splunk import SplunkBackend
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection

pytestmark = pytest.mark.integration  # the whole catalog, through other people's parsers, takes seconds

FIELDS = {"dns": "query", "proxy": "cs-host", "network_connection": "DestinationHostname"}


@cache
def collection() -> SigmaCollection:
    """Return the rules as pySigma reads them."""
    return SigmaCollection.from_yaml(cases.text("sigma"))


@cache
def titles() -> dict[str, str]:
    """Return the services by how the titles of their rules begin."""
    return {f"Face Search By {one.name}": one.id for one in cases.catalog().services.values()}


def service_of(rule: Any) -> str:
    """Return the service that a rule is for, by its title."""
    return titles()[rule.title.rpartition(" (")[0]]


def test_every_rule_is_valid_and_has_an_id_of_its_own():
    """One rule with a mistake, or an id used twice, stops the import of all."""
    rules = collection().rules
    assert collection().errors == []
    assert len({rule.id for rule in rules}) == len(rules)
    assert all(rule.id.version == 4 for rule in rules)
    assert {rule.logsource.category for rule in rules} == set(FIELDS)
    documents = [one for one in yaml.safe_load_all(cases.text("sigma")) if one]
    assert all(re.fullmatch(r"(informational|low|medium|high|critical)", one["level"]) for one in documents)


@pytest.mark.parametrize("backend", [SplunkBackend, LuceneBackend])
def test_each_rule_becomes_a_query_that_names_every_host(backend):
    """What a SIEM is given still holds all that the rule holds."""
    documents = [one for one in yaml.safe_load_all(cases.text("sigma")) if one]
    queries = backend().convert(collection())
    assert len(queries) == len(documents)
    for document, query in zip(documents, queries, strict=True):
        field = FIELDS[document["logsource"]["category"]]
        for name in document["detection"].get("name", {}).get(field, []):
            assert name in query.replace("\\", "")


def hits(category: str, rows: list[dict[str, str]]) -> list[set[str]]:
    """Return the services whose rules of a category find each row, when the rows are a table and the rules are SQL."""
    rules = SigmaCollection([rule for rule in collection().rules if rule.logsource.category == category])
    columns = ["nth", *rows[0]]
    with sqlite3.connect(":memory:") as store:
        store.create_function("REGEXP", 2, lambda regex, text: re.search(regex, text or "") is not None)
        store.execute(f"CREATE TABLE logs ({', '.join(f'`{column}`' for column in columns)})")
        marks = ", ".join("?" * len(columns))
        store.executemany(f"INSERT INTO logs VALUES ({marks})", [(nth, *row.values()) for nth, row in enumerate(rows)])
        found: list[set[str]] = [set() for _row in rows]
        for rule, query in zip(rules.rules, sqliteBackend().convert(rules), strict=True):
            for row in store.execute(query):
                found[row[0]].add(service_of(rule))
    store.close()
    return found


@pytest.mark.parametrize("category", FIELDS)
def test_the_rules_find_the_hosts_that_sentinel_finds_and_no_others(category):
    """By the very condition that a SIEM evaluates."""
    blank = {"cs-method": "", "c-uri-stem": "", "c-uri-query": ""} if category == "proxy" else {}
    found = hits(category, [{FIELDS[category]: name, **blank} for name in cases.names()])
    for name, services in zip(cases.names(), found, strict=True):
        assert services == cases.services(cases.said("sigma"), cases.looked_up(name)), name


def test_the_rules_find_the_requests_that_sentinel_finds_and_no_others():
    """A path on a shared host is found by host, path, method and parameters together."""
    rows = []
    for method, url in cases.requests():
        parts = urlsplit(url)
        rows.append(
            {"cs-host": parts.hostname or "", "cs-method": method, "c-uri-stem": parts.path or "/", "c-uri-query": parts.query}
        )
    for (method, url), services in zip(cases.requests(), hits("proxy", rows), strict=True):
        assert services == cases.services(cases.said("sigma"), cases.requested(method, url)), f"{method} {url}"


def test_the_services_that_are_found_are_all_that_are_exported():
    """A service without a rule would be looked for by nobody."""
    exported = {service_of(rule) for rule in collection().rules}
    assert exported == {one.id for one in cases.catalog().services.values() if one.category in DETECTED}
