"""What real programs write, read back by the formats that claim to read them: client, name, time and kind of every access."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sentinel.formats import FORMATS
from sentinel.formats.clock import StreamClock
from sentinel.formats.detect import detect
from sentinel.formats.reader import Reader
from sentinel.observation import Observation
from tests.integration import lab

NAMES = ["clearview.ai", "pimeyes.com"]
CLIENT = "127.0.0.7"
SECOND = timedelta(seconds=1)  # what a log that writes whole seconds cuts off


def observations(log: Path, format_name: str) -> list[Observation]:
    """Read a whole log the way a source does: the format told from the records, times in the lab's zone."""
    records = log.read_bytes().splitlines()
    found, _sure = detect(records)[0]
    assert found.name == format_name
    reader = Reader(FORMATS[format_name], StreamClock(ZoneInfo(lab.ZONE), datetime.fromtimestamp(log.stat().st_mtime, UTC)))
    return [seen for record in records for seen in reader.parse(record)]


def lookups(resolver: lab.Resolver, format_name: str) -> Iterator[Observation]:
    """Look two names up, and yield what the log then says of them, checked for what holds of every resolver."""
    before = datetime.now(UTC)
    resolver.ask("App.ClearView.ai", client=CLIENT)
    resolver.ask("pimeyes.com", kind="AAAA", options=["+tcp"])
    after = datetime.now(UTC)
    lab.wait_until(lambda: "pimeyes.com" in resolver.log.read_text(), "the log has the last query")
    seen = [one for one in observations(resolver.log, format_name) if one.kind == "dns_query"]
    assert [(one.client, one.name, one.query_type) for one in seen] == [
        (CLIENT, "app.clearview.ai", "A"),
        (lab.LOCALHOST, "pimeyes.com", "AAAA"),
    ]
    for one in seen:
        assert before - SECOND <= one.time <= after
    yield from seen


@pytest.mark.parametrize("extra", [False, True], ids=["plain", "extra"])
def test_dnsmasq(tmp_path, extra):
    """Both of its query logs give each query once; its lines carry neither year nor zone."""
    with lab.dnsmasq(tmp_path / "dnsmasq", NAMES, extra=extra) as resolver:
        for seen in lookups(resolver, "dnsmasq"):
            assert (seen.client_port is not None) == extra


@pytest.mark.parametrize(
    "channel",
    [
        lab.SHOWN,
        "print-time iso8601; print-category yes;",
        "print-time iso8601-utc; print-severity yes;",
        "print-time local;",
    ],
)
@pytest.mark.parametrize("view", ["", "in side"])
def test_bind(tmp_path, channel, view):
    """Whatever its channel prints, and with a view whose name holds a blank."""
    with lab.bind(tmp_path / "bind", NAMES, channel=channel, view=view) as resolver:
        for seen in lookups(resolver, "bind-query"):
            assert seen.client_port is not None
            assert seen.server == lab.LOCALHOST


@pytest.mark.parametrize(
    "options",
    [[], ["log-time-ascii: yes"], ["log-replies: yes", "log-tag-queryreply: yes"]],
    ids=["epoch", "ascii", "tagged"],
)
def test_unbound(tmp_path, options):
    """Epoch and ASCII times; with replies logged too, a query is still one query."""
    with lab.unbound(tmp_path / "unbound", NAMES, options=options) as resolver:
        list(lookups(resolver, "unbound"))


def test_squid(tmp_path):
    """A request, a tunnel and a refusal, and the line that Squid writes for a connection without any request."""
    with lab.website(tmp_path / "site", NAMES) as (http, https), lab.squid(NAMES, blocked=["facecheck.id"]) as proxy:
        before = datetime.now(UTC)
        proxy.get(f"http://clearview.ai:{http}/a?b=c", client=CLIENT)
        proxy.get(f"https://pimeyes.com:{https}/")
        proxy.get(f"https://facecheck.id:{https}/")
        after = datetime.now(UTC)
        lab.wait_until(lambda: "facecheck.id" in proxy.log.read_text(), "the log has the last request")
        seen = [one for one in observations(proxy.log, "squid-native") if one.name]
    assert [(one.kind, one.client, one.name, one.method, one.action) for one in seen] == [
        ("http_request", CLIENT, "clearview.ai", "GET", "allowed"),
        ("proxy_connect", lab.LOCALHOST, "pimeyes.com", "CONNECT", "allowed"),
        ("proxy_connect", lab.LOCALHOST, "facecheck.id", "CONNECT", "blocked"),
    ]
    assert [one.server_port for one in seen if one.kind == "proxy_connect"] == [https, https]
    for one in seen:
        assert before - SECOND <= one.time <= after
