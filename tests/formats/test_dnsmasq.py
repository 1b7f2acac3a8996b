"""dnsmasq's log: who asked is known of queries, and of answers only where the client stands in the line."""

from __future__ import annotations

import pytest

from sentinel.formats import dnsmasq
from sentinel.formats.format import Malformed, Stream
from tests.formats.samples import clock


def read(line: str):
    """Return the observations of a line."""
    return dnsmasq.parse(line.encode(), Stream(clock()))


@pytest.mark.parametrize(
    ("line", "port", "kind"),
    [
        ("Nov 23 07:24:43 dnsmasq[48]: query[A] PimEyes.com from 10.20.30.11", None, "A"),
        ("Nov 23 07:24:43 gw dnsmasq[48]: query[type=65] PimEyes.com from 10.20.30.11", None, "TYPE65"),
        ("Nov 23 07:24:43 dnsmasq[48]: auth[AAAA] PimEyes.com from 10.20.30.11", None, "AAAA"),
        ("Nov 23 07:24:43 dnsmasq[48]: 7 10.20.30.11/51234 query[A] PimEyes.com from 10.20.30.11", 51234, "A"),
        ("Nov 23 07:24:43 dnsmasq[48]: UDP 7 10.20.30.11/51234 query[HTTPS] PimEyes.com from 10.20.30.11", 51234, "HTTPS"),
        ("2026-11-23T07:24:43+01:00 gw dnsmasq[48]: query[A] PimEyes.com from 10.20.30.11", None, "A"),
    ],
)
def test_a_query_in_each_form(line, port, kind):
    """Plain, extra and proto, from the file and through syslog."""
    (seen,) = read(line)
    assert (seen.kind, seen.client, seen.client_port, seen.name, seen.query_type) == (
        "dns_query",
        "10.20.30.11",
        port,
        "pimeyes.com",
        kind,
    )
    assert seen.time.isoformat() == "2026-11-23T06:24:43+00:00"
    assert seen.flow == (None if port is None else "7")


@pytest.mark.parametrize(
    ("said", "action", "answers"),
    [
        ("reply pimeyes.com is 192.0.2.10", None, ("192.0.2.10",)),
        ("reply pimeyes.com is NXDOMAIN", None, ()),
        ("cached-stale pimeyes.com is <CNAME>", None, ()),
        ("config pimeyes.com is 0.0.0.0", "blocked", ("0.0.0.0",)),
        ("config pimeyes.com is NODATA-IPv6", "blocked", ()),
        ("config pimeyes.com is 10.0.0.80", None, ("10.0.0.80",)),
        ("gravity blocked pimeyes.com is 0.0.0.0", "blocked", ("0.0.0.0",)),
        ("regex denied pimeyes.com is NODATA", "blocked", ()),
        ("exactly blacklisted pimeyes.com is ::", "blocked", ("::",)),
        ("/etc/pi hole/hosts pimeyes.com is 10.0.0.80", None, ("10.0.0.80",)),
    ],
)
def test_an_answer_with_its_client(said, action, answers):
    """Only what the resolver itself decided is "blocked"; that a name does not exist elsewhere is an answer."""
    (seen,) = read(f"Nov 23 07:24:43 dnsmasq[49]: 7 10.20.30.11/44633 {said}")
    assert (seen.kind, seen.client, seen.name, seen.action, seen.answers) == (
        "dns_answer",
        "10.20.30.11",
        "pimeyes.com",
        action,
        answers,
    )
    assert read(f"Nov 23 07:24:43 dnsmasq[49]: {said}") == ()


@pytest.mark.parametrize(
    "said",
    [
        "started, version 2.90 cachesize 150",
        "7 10.20.30.11/1 forwarded pimeyes.com to 10.20.30.54",
        "7 10.20.30.11/1 validation pimeyes.com is SECURE",
        "7 10.20.30.11/1 reply 192.0.2.10 is pimeyes.com",
        "Rate-limiting 10.0.0.5 is REFUSED",
        "dnssec-query[DS] pimeyes.com to 10.20.30.54",
    ],
)
def test_lines_that_tell_of_no_access(said):
    """A forwarded query is told already, and the name in a reverse answer was not asked for."""
    assert read(f"Nov 23 07:24:43 dnsmasq[49]: {said}") == ()


def test_its_dhcp_server_shares_the_file():
    """Those lines are well formed and no concern of the query log."""
    assert read("Nov 23 06:17:35 dnsmasq-dhcp[1]: DHCPACK(veth0) 10.77.0.108 02:aa:bb:00:00:01 PC-ALICE") == ()


@pytest.mark.parametrize(
    "line",
    [
        "Nov 23 07:24:43 dnsmasq[48]: query[A] pimeyes.com fr",
        "Nov 23 07:24:43 dnsmasq[48]: query[A] pimeyes.com from nobody",
        "Nov 31 07:24:43 dnsmasq[48]: query[A] pimeyes.com from 10.20.30.11",
        "Nov 23 07:24:43 gw named[48]: query[A] pimeyes.com from 10.20.30.11",
    ],
)
def test_another_shape_is_malformed(line):
    """A query that is cut before its client accuses nobody."""
    with pytest.raises(Malformed):
        read(line)
