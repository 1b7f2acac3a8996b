"""A STIX 2.1 bundle: its indicators, as far as their patterns compare host names, URLs, requests and senders of mail.

STIX compares names whole: `= 'x'` becomes a host, and a domain where `LIKE '%.x'` stands beside it.
Reference: https://docs.oasis-open.org/cti/stix/v2.1/os/stix-v2.1-os.html, section 9
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sentinel.signatures.exports.targets.stix import CONFIDENCE, SOURCE
from sentinel.signatures.imports.item import PARAMETER, Described, Refused, Taken, noted, of_url
from sentinel.signatures.imports.pattern import Comparison, Unreadable, alternatives
from sentinel.signatures.lint import VERY_COMMON
from sentinel.terms import Severity

HOST = "domain-name:value"
URL = "url:value"
SENDER = "email-message:from_ref.value"
REQUEST = "network-traffic:extensions.'http-request-ext'."
METHOD = f"{REQUEST}request_method"
LABEL = "[^.]+"
SEVERITIES = frozenset(severity.word for severity in Severity)


def read(data: bytes) -> Iterator[Taken | Refused]:
    """Yield what each indicator of a bundle says, and that other objects say nothing to look for.

    Raises:
        ValueError: It is no JSON, or no bundle.
    """
    tree = json.loads(data)
    objects = tree.get("objects") if isinstance(tree, dict) else None
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        raise ValueError("no STIX bundle: it has no list of objects")
    for one in objects:
        where = str(one.get("id", one.get("type")))
        if one.get("type") != "indicator":
            yield Refused(where, f"of the type {one.get('type')}: only indicators say what to look for")
        elif one.get("revoked"):
            yield Refused(where, "revoked")
        elif one.get("pattern_type", "stix") != "stix":
            yield Refused(where, f"its pattern is in the language {one['pattern_type']}")
        else:
            yield from _taken(one, where)


def _taken(one: Mapping[str, Any], where: str) -> Iterator[Taken | Refused]:
    service = _described(one)
    until = f"valid until {one['valid_until']}" if one.get("valid_until") else ""
    note = one.get("description") if service else "; ".join(filter(None, (str(one.get("name") or ""), until)))
    try:
        found = list(_indicators(alternatives(str(one.get("pattern", ""))), where))
    except Unreadable as error:
        yield Refused(where, f"its pattern: {error}")
        return
    ours = _ours(one) if service else {}
    for each in found:
        if isinstance(each, Taken):
            each = Taken(where, noted({**each.indicator, **ours}, str(note or "")), service)
        yield each


def _ours(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the labels of an indicator that Sentinel exported say of it."""
    labels = _labels(one)
    pairs = dict(label.split(":", 1) for label in labels if label.startswith(("stage:", "basis:")))
    return {**pairs, **{word: True for word in ("polled", "secret") if word in labels}, "confidence": _confidence(one)}


def _confidence(one: Mapping[str, Any]) -> str:
    number = one.get("confidence")
    words = {number: word for word, number in CONFIDENCE.items()}
    return words.get(number, "reported") if isinstance(number, int) else "reported"


def _labels(one: Mapping[str, Any]) -> list[str]:
    labels = one.get("labels")
    return [str(label) for label in labels] if isinstance(labels, list) else []


def _described(one: Mapping[str, Any]) -> Described | None:
    """Return the service of an indicator that Sentinel exported."""
    listed = one.get("external_references")
    references = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    ids = [each.get("external_id") for each in references if each.get("source_name") == SOURCE]
    labels = _labels(one)
    if not ids or not labels:
        return None
    return Described(
        id=str(ids[0]),
        name=str(one.get("name", "")).partition(": ")[0],
        category=labels[0],
        severity=next((label[9:] for label in labels if label.removeprefix("severity:") in SEVERITIES), "medium"),
        confidence=_confidence(one),
        references=tuple(str(each["url"]) for each in references if each.get("url")),
    )


def _indicators(found: Sequence[Sequence[Comparison]], where: str) -> Iterator[Taken | Refused]:
    """Yield what the alternatives of a pattern say, those that widen another one together with it."""
    alone = [each[0] for each in found if len(each) == 1]
    widened = {one.value[2:] for one in alone if (one.path, one.op) == (HOST, "LIKE") and one.value.startswith("%.")}
    told: set[str] = set()
    for each in _with_methods(found):
        said = _indicator(each, where, widened)
        if isinstance(said, Refused):
            yield said
        elif str(said.indicator) not in told:
            told.add(str(said.indicator))
            yield said


def _with_methods(found: Sequence[Sequence[Comparison]]) -> Iterator[Sequence[Comparison]]:
    """Yield the alternatives, those that differ in nothing but the request's method as one with all of their methods."""
    requests: dict[tuple[Comparison, ...], list[Comparison]] = {}
    for each in found:
        methods = [one for one in each if (one.path, one.op) == (METHOD, "=")]
        if len(methods) == 1:
            requests.setdefault(tuple(one for one in each if one != methods[0]), []).append(methods[0])
        else:
            yield each
    for rest, methods in requests.items():
        yield (*methods, *rest)


def _indicator(each: Sequence[Comparison], where: str, widened: set[str]) -> Taken | Refused:
    """Return what one alternative says; of the names *widened*, all below is meant as well."""
    paths = {one.path for one in each}
    one = each[0]
    if len(each) == 1 and one.path == HOST and one.op in ("=", "LIKE"):
        name = one.value.removeprefix("%.") if one.op == "LIKE" else one.value
        if one.op == "LIKE" and name not in widened:
            return Refused(where, "a name with a wildcard elsewhere than before a dot")
        return Taken(where, {"domain" if name in widened else "host": name, "stage": "contact"})
    if len(each) == 1 and (one.path, one.op) == (HOST, "MATCHES"):
        host = _host(one.value.removeprefix("^").removesuffix("$"))
        return Taken(where, {"host_pattern": host, "stage": "contact", "basis": "inferred"}) if host else _other(where)
    if len(each) == 1 and (one.path, one.op) == (URL, "="):
        return of_url(where, one.value)
    if len(each) == 1 and (one.path, one.op) == (SENDER, "LIKE"):
        sender = re.fullmatch(r"%@(?:%\.)?([^%_]+)", one.value)
        return Taken(where, {"mail_from": sender[1], "stage": "contact"}) if sender else _other(where)
    if paths == {URL} and all(one.op == "MATCHES" for one in each):
        return _matched_url(each, where)
    if any(path.startswith(REQUEST) for path in paths):
        return _request(each, where)
    kinds = ", ".join(sorted(path.partition(":")[0] for path in paths))
    return Refused(where, f"its pattern compares {kinds} with {one.op}" if len(each) == 1 else f"its pattern joins {kinds}")


def _other(where: str) -> Refused:
    return Refused(where, "its pattern has an expression that is not one of a whole host, path or sender")


def _matched_url(each: Sequence[Comparison], where: str) -> Taken | Refused:
    found = re.fullmatch(r"\^https\?://(.+?)\(:\[0-9\]\+\)\?(.+)", each[0].value)
    queries = [_parameter(one.value) for one in each[1:]]
    if not found or None in queries:
        return _other(where)
    return _url(where, found[1], found[2], queries)


def _request(each: Sequence[Comparison], where: str) -> Taken | Refused:
    said: dict[str, list[str]] = {}
    for one in each:
        said.setdefault(one.path.removeprefix(REQUEST) + " " + one.op, []).append(one.value)
    methods = said.pop("request_method =", [])
    hosts = said.pop("request_header.Host MATCHES", [r"^[^/]+(:[0-9]+)?$"])
    paths = said.pop("request_value MATCHES", [])
    queries = [_parameter(one) for one in paths[1:]]
    if said or not methods or len(hosts) != 1 or not paths or None in queries:
        return _other(where)
    host = hosts[0].removeprefix("^").removesuffix("$").removesuffix("(:[0-9]+)?")
    return _url(where, host, paths[0].removeprefix("^"), queries, methods)


def _url(where: str, host: str, path: str, queries: Sequence[str | None], methods: Sequence[str] = ()) -> Taken | Refused:
    url: dict[str, Any] = {}
    name = "*" if host == "[^/]+" else _host(host)
    if name is None:
        return _other(where)
    url["host_pattern" if "*" in name else "host"] = name
    if methods:
        url["method"] = methods[0] if len(methods) == 1 else list(methods)
    below, whole = _literal(path.removesuffix("(([?]|$)|/)")), _literal(path.removesuffix("([?]|$)"))
    if path.endswith("(([?]|$)|/)") and below is not None:
        url |= {"path": below, "shared": True}
    elif path.endswith("([?]|$)") and whole is not None:
        url["path"] = whole
    elif path.startswith("(") and path.endswith(")"):
        url["path_regex"] = "^" + path[1:-1].replace("([?]|$)", "$")
    else:
        return _other(where)
    if queries:
        url["query"] = [one for one in queries if one]
    if name.startswith("*.") or name == "*" or name.removeprefix("www.") in VERY_COMMON:
        url["shared"] = True
    return Taken(where, {"url": url, "stage": "visit"})


def _parameter(regex: str) -> str | None:
    found = re.fullmatch(r"\[\?&\](.+?)(?:\(&\|\$\)|\[\^&\])", regex)
    text = _literal(found[1]) if found else None
    return text if text is not None and re.fullmatch(PARAMETER, text) else None


def _host(regex: str) -> str | None:
    """Return the host or host pattern that an expression of ours stands for."""
    parts = [_literal(part) for part in regex.split(LABEL)]
    return "*".join(part for part in parts if part is not None) if None not in parts else None


def _literal(regex: str) -> str | None:
    """Return the text that an expression without anything special matches; None when it has something special."""
    plain = re.sub(r"\\([^A-Za-z0-9])", "", regex)
    return None if re.search(r"[\\.^$*+?{}\[\]|()]", plain) else re.sub(r"\\(.)", r"\1", regex)
