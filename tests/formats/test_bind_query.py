"""BIND's query log: the forms it takes, and what a line must not be taken for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sentinel.formats import bind_query
from sentinel.formats.format import Malformed, Stream
from tests.formats.samples import WRITTEN, clock

QUERY = "client @0x7f94 10.20.30.11#39213 (PimEyes.com): view internal: query: PimEyes.com IN A +E(0)K (10.20.30.53)"


def one(line: str):
    """Return the one observation of a line."""
    (seen,) = bind_query.parse(line.encode(), Stream(clock()))
    return seen


@pytest.mark.parametrize(
    ("before", "time", "text"),
    [
        ("23-Nov-2026 06:13:40.060 ", "05:13:40.060", "23-Nov-2026 06:13:40.060"),
        ("23-Nov-2026 06:13:40.060 queries: info: ", "05:13:40.060", "23-Nov-2026 06:13:40.060"),
        ("2026-11-23T06:13:40.060 queries: ", "05:13:40.060", "2026-11-23T06:13:40.060"),
        ("2026-11-23T06:13:40.060Z info: ", "06:13:40.060", "2026-11-23T06:13:40.060Z"),
        ("2026-11-23T06:13:40.060+03:00 ", "03:13:40.060", "2026-11-23T06:13:40.060+03:00"),
        ("Nov 23 06:13:40.060 ", "05:13:40.060", "Nov 23 06:13:40.060"),
        ("<134>Nov 23 06:13:40 ns1 named[1]: queries: info: ", "05:13:40", "Nov 23 06:13:40"),
        ("Nov 23 06:13:40 ns1 named[1]: ", "05:13:40", "Nov 23 06:13:40"),
        ("2026-11-23T06:13:40.5+01:00 ns1 named[1]: ", "05:13:40.5", "2026-11-23T06:13:40.5+01:00"),
        ("<134>1 2026-11-23T06:13:40.5+01:00 ns1 named 1 - - ", "05:13:40.5", "2026-11-23T06:13:40.5+01:00"),
        ("Nov 24 11:00:00 ns1 named[1]: 23-Nov-2026 06:13:40.060 ", "05:13:40.060", "23-Nov-2026 06:13:40.060"),
    ],
)
def test_every_time_that_print_options_and_syslog_give(before, time, text):
    """The server's own time wins over a relay's; without a zone it is the server's local time."""
    seen = one(before + QUERY)
    assert seen.time == datetime.fromisoformat(f"2026-11-23T{time}+00:00")
    assert seen.time_text == text
    assert (seen.client, seen.client_port, seen.server) == ("10.20.30.11", 39213, "10.20.30.53")
    assert (seen.kind, seen.name, seen.query_type, seen.action) == ("dns_query", "pimeyes.com", "A", None)


def test_a_line_without_any_time_is_dated_with_the_files():
    """With print-time off a hit must not be lost; the clock says that it was dated so."""
    stream = Stream(clock())
    (seen,) = bind_query.parse(QUERY.encode(), stream)
    assert (seen.time, seen.time_text) == (WRITTEN, None)
    assert "no time" in stream.clock.assumptions()[0]


@pytest.mark.parametrize(
    ("line", "client", "name", "server"),
    [
        ("client 10.0.0.5#1025: query: a.example IN A", "10.0.0.5", "a.example", None),
        ("client 10.0.0.5#1025: query: a.example IN A +", "10.0.0.5", "a.example", None),
        ("client 10.0.0.5#1025: view two words: query: a.example IN AAAA -E", "10.0.0.5", "a.example", None),
        ("client 10.0.0.5#1/key tsig-key (a.example): query: a.example IN A +SE(0) (::1#53)", "10.0.0.5", "a.example", "::1"),
        ("client @0x1 fe80::1%eth0#1 (a.example): query: a.example IN A + (fe80::2%eth0)", "fe80::1", "a.example", "fe80::2"),
        ("client @0x1 ::ffff:10.0.0.5#1 (a.b): query: a.b IN TYPE65 + (::1)[ECS 192.0.2.0/24/0]", "10.0.0.5", "a.b", "::1"),
        ("client @0x1 10.0.0.5#1 (a/b.example): query: a/b.example IN A + (::1) more", "10.0.0.5", "a/b.example", "::1"),
    ],
)  # fmt: skip
def test_old_and_new_forms(line, client, name, server):
    """From BIND 9.2, without flags, to the newest, with the port of the destination."""
    seen = one(f"23-Nov-2026 06:13:40.060 {line}")
    assert (seen.client, seen.name, seen.server) == (client, name, server)


def test_the_client_is_who_asked_and_not_the_subnet_it_names():
    """An EDNS client subnet is whatever the asker puts there, and mostly a whole network: it accuses nobody."""
    seen = one(
        "23-Nov-2026 06:13:40.060 client @0x1 10.0.0.5#1 (a.example): query: a.example IN A + (10.0.0.1) [ECS 192.0.2.9/32/0]"
    )
    assert seen.client == "10.0.0.5"


def test_an_escaped_dot_is_no_label_boundary():
    r"""`app\.clearview.ai` has the label "app.clearview": it is below .ai, not below clearview.ai."""
    line = "23-Nov-2026 06:13:40.060 client 10.0.0.5#1 (x): query: app\\.clearview.ai IN A + (10.0.0.1)"
    assert one(line).name == "app\\046clearview.ai"
    assert one(line.replace("\\.", "\\\\.")).name == "app\\092.clearview.ai"


@pytest.mark.parametrize(
    ("said", "action"),
    [
        ("rpz QNAME NXDOMAIN rewrite clearview.ai/A/IN via clearview.ai.rpz", "blocked"),
        ("rpz QNAME DROP rewrite clearview.ai/A/IN via clearview.ai.rpz", "blocked"),
        ("rpz QNAME Local-Data rewrite clearview.ai/A/IN via clearview.ai.rpz", "blocked"),
        ("rpz QNAME PASSTHRU rewrite clearview.ai/A/IN via clearview.ai.rpz", "allowed"),
        ("rpz QNAME TCP-Only rewrite clearview.ai/A/IN via clearview.ai.rpz", "allowed"),
        ("disabled rpz QNAME NXDOMAIN rewrite clearview.ai/A/IN via clearview.ai.rpz", "allowed"),
        ("query (cache) 'clearview.ai/A/IN' denied", "blocked"),
        ("query 'clearview.ai/A/IN' denied (allow-query did not match)", "blocked"),
        ("query failed (REFUSED) for clearview.ai/IN/A at query.c:5708", "blocked"),
        ("query failed (SERVFAIL) for clearview.ai/IN/A at query.c:7841", None),
        ("response: clearview.ai IN A NXDOMAIN 0 1 1 +E(0)K (10.0.0.1)", None),
        ("response: clearview.ai IN A REFUSED 0 0 1 +E(0)K (10.0.0.1)", "blocked"),
    ],
)
def test_what_became_of_a_query_is_an_answer_and_no_second_query(said, action):
    """A query that policy stopped has its query line as well: counted as queries, one look-up would be two."""
    seen = one(f"23-Nov-2026 06:13:40.060 rpz: info: client @0x1 10.0.0.5#54558 (clearview.ai): view internal: {said}")
    assert (seen.kind, seen.name, seen.query_type, seen.client, seen.action) == (
        "dns_answer",
        "clearview.ai",
        "A",
        "10.0.0.5",
        action,
    )


@pytest.mark.parametrize(
    "line",
    [
        "23-Nov-2026 06:13:38.108 general: notice: all zones loaded",
        "Nov 23 06:13:38 ns1 named[1]: all zones loaded",
        "23-Nov-2026 06:13:38.108 client @0x1 10.0.0.5#1 (a.example): zone transfer 'a.example/AXFR/IN' denied",
        "23-Nov-2026 06:13:38.108 lame-servers: info: timed out resolving 'clearview.ai/DS/IN': 8.8.8.8#53",
    ],
)
def test_other_messages_tell_of_no_access(line):
    """They are BIND's, so nothing is malformed; but nobody looked a name up."""
    assert bind_query.parse(line.encode(), Stream(clock())) == ()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "GET / HTTP/1.1",
        "Nov 23 06:13:38 ns1 sshd[1]: query: clearview.ai IN A +",
        "23-Nov-2026 06:13:40.060 client 10.0.0.5#1 (clearview.ai): query: clearvie",
        "30-Feb-2026 06:13:40.060 " + QUERY,
        "23-Foo-2026 06:13:40.060 " + QUERY,
    ],
)
def test_another_shape_is_malformed(line):
    """It is counted, and nothing is guessed from half a line."""
    with pytest.raises(Malformed):
        bind_query.parse(line.encode(), Stream(clock()))


def test_the_syslog_host_is_the_resolver():
    """Where several resolvers log to one collector, it says which of them was asked."""
    assert one("Nov 23 06:13:40 ns1 named[1]: " + QUERY).resolver == "ns1"
    assert one("23-Nov-2026 06:13:40.060 " + QUERY).time.tzinfo is UTC
