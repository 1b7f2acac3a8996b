"""The Splunk lookup and Elastic's rules: the queries are read by a parser of Lucene's syntax, the table as Splunk matches it.

Neither Splunk nor Elasticsearch can be had in Debian or from PyPI: what is said here of wildcards and expressions is the
documentation's word.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import pytest

from sentinel.signatures.exports.target import DETECTED
from tests.exports import cases

pytestmark = pytest.mark.integration  # the whole catalog, through other people's parsers, takes seconds

Document = dict[str, str]
Queries = dict[str, Callable[[Document], bool]]


def rules() -> list[dict[str, Any]]:
    """Return the detection rules."""
    return [json.loads(line) for line in cases.text("elastic").splitlines()]


def compiled(node: Any, field: str = "") -> Callable[[Document], bool]:
    """Return what tells whether a parsed Lucene query finds a document whose fields are all keywords."""
    from luqum import tree

    if isinstance(node, tree.SearchField):
        return compiled(node.expr, node.name)
    if isinstance(node, (tree.Group, tree.FieldGroup)):
        return compiled(node.expr, field)
    if isinstance(node, (tree.OrOperation, tree.AndOperation)):
        parts = [compiled(one, field) for one in node.children]
        of_parts = any if isinstance(node, tree.OrOperation) else all
        return lambda document: of_parts(part(document) for part in parts)
    if isinstance(node, tree.Phrase):
        whole = re.sub(r"\\(.)", r"\1", node.value[1:-1])
        return lambda document: document.get(field) == whole
    assert isinstance(node, (tree.Regex, tree.Word))
    is_regex = isinstance(node, tree.Regex)
    expression = re.compile(node.value[1:-1] if is_regex else re.escape(node.value).replace(r"\*", ".*"))
    return lambda document: field in document and expression.fullmatch(document[field]) is not None


@pytest.fixture(scope="module")
def queries() -> Queries:
    """What each service's query finds."""
    parser = pytest.importorskip("luqum.parser", reason="luqum is not installed; tests/run gets it")
    names = {f"Face search: {one.name}": one.id for one in cases.catalog().services.values()}
    return {names[rule["name"]]: compiled(parser.parser.parse(rule["query"])) for rule in rules()}


def found(queries: Queries, document: Document) -> set[str]:
    """Return the services whose queries find a document."""
    return {service for service, query in queries.items() if query(document)}


@pytest.mark.parametrize("field", ["dns.question.name", "tls.client.server_name", "url.domain", "destination.domain"])
def test_the_rules_find_the_hosts_that_sentinel_finds_and_no_others(queries, field):
    """By each ECS field that holds a host."""
    for name in cases.names():
        assert found(queries, {field: name}) == cases.services(cases.said("elastic"), cases.looked_up(name)), name


def test_the_rules_find_the_requests_that_sentinel_finds_and_no_others(queries):
    """By host, path, method and query together."""
    for method, url in cases.requests():
        parts = urlsplit(url)
        document = {"url.domain": parts.hostname or "", "url.path": parts.path or "/", "http.request.method": method}
        document |= {"url.query": parts.query} if parts.query else {}
        assert found(queries, document) == cases.services(cases.said("elastic"), cases.requested(method, url)), (
            f"{method} {url}"
        )


def test_the_rules_find_the_senders_that_sentinel_finds(queries):
    """A mail from a service is how an invitation comes."""
    for sender in ("help@clearview.ai", "a@mail.pimeyes.com", "a@notpimeyes.com", "a@pimeyes.com.example.org"):
        said = cases.services(cases.said("elastic"), cases.mailed(sender))
        assert found(queries, {"email.from.address": sender}) == said


def test_kibana_gets_the_fields_that_it_asks_for_and_no_rule_starts_by_itself():
    """An import fails as a whole on one rule without them; an operator decides what runs."""
    assert {len({rule["rule_id"] for rule in rules()})} == {len(rules())}
    for rule in rules():
        assert {"rule_id", "name", "description", "type", "query", "language", "index", "severity", "risk_score"} <= rule.keys()
        assert (rule["type"], rule["language"], rule["enabled"]) == ("query", "lucene", False)
        assert rule["severity"] in ("low", "medium", "high", "critical")
        assert 0 <= rule["risk_score"] <= 100


@cache
def table() -> list[tuple[re.Pattern[str], str]]:
    """Return what the rows of the lookup match, by WILDCARD and in letters of either case, and the service of each."""
    rows = csv.DictReader(io.StringIO(cases.text("splunk-lookup")))
    return [(re.compile(re.escape(row["match"]).replace(r"\*", ".*"), re.IGNORECASE), row["service"]) for row in rows]


def looked_up(value: str) -> set[str]:
    """Return the services of the rows that match."""
    return {service for expression, service in table() if expression.fullmatch(value)}


def test_the_lookup_matches_the_hosts_urls_and_senders_that_sentinel_finds():
    """A search gives it whatever field holds one; what it cannot say is told beside it."""
    matcher = cases.said("splunk-lookup")
    for name in cases.names():
        assert looked_up(name.upper()) == cases.services(matcher, cases.looked_up(name)), name
    for sender in ("help@clearview.ai", "a@mail.pimeyes.com", "a@notpimeyes.com"):
        assert looked_up(sender) == cases.services(matcher, cases.mailed(sender))
    on_paths = [url for method, url in cases.requests() if method == "GET" and "face" in url.lower()]
    for url in on_paths:
        host = urlsplit(url).hostname or ""
        by_url = looked_up(url.partition("://")[2]) | looked_up(host)
        assert by_url == cases.services(matcher, cases.requested("GET", url)), url


def test_the_lookups_stanza_names_its_file_and_its_wildcards():
    """Without match_type, only names that stand whole in the table would match."""
    stanza = cases.text("splunk-lookup", "transforms.conf")
    assert "filename = sentinel_face_search.csv" in stanza
    assert "match_type = WILDCARD(match)" in stanza


def test_every_service_has_a_rule():
    """One that is missing would be looked for by nobody."""
    wanted = {one.name for one in cases.catalog().services.values() if one.category in DETECTED}
    assert {rule["name"].removeprefix("Face search: ") for rule in rules()} == wanted
