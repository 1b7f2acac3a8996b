"""Suricata's events: who the client is, by event and version, and what must not be told twice."""

from __future__ import annotations

import json

import pytest

from sentinel.formats import suricata
from sentinel.formats.format import Malformed, Stream
from tests.formats.samples import clock

CLIENT = {"src_ip": "10.0.0.5", "src_port": 40000, "dest_ip": "192.0.2.9"}
SERVER = {"src_ip": "192.0.2.9", "dest_ip": "10.0.0.5", "dest_port": 40000}


def read(kind: str, inner: dict, **fields):
    """Return the observations of an event."""
    event = {"timestamp": "2026-11-23T07:27:29.642344+0100", "flow_id": 7, "event_type": kind, **fields, kind: inner}
    return suricata.parse(json.dumps(event).encode(), Stream(clock()))


@pytest.mark.parametrize(
    ("sides", "inner"),
    [
        (CLIENT | {"dest_port": 53}, {"type": "query", "rrname": "PimEyes.com", "rrtype": "A"}),
        (CLIENT | {"dest_port": 53}, {"version": 2, "type": "query", "rrname": "pimeyes.com", "rrtype": "A"}),
        (CLIENT | {"dest_port": 53}, {"version": 3, "type": "request", "queries": [{"rrname": "pimeyes.com", "rrtype": "A"}]}),
        (
            CLIENT | {"dest_port": 5053},
            {"version": 3, "type": "request", "queries": [{"rrname": "pimeyes.com", "rrtype": "A"}]},
        ),
    ],
)
def test_a_query_in_each_version(sides, inner):
    """The asker is the source, whatever the port."""
    (seen,) = read("dns", inner, **sides)
    assert (seen.kind, seen.client, seen.server, seen.name, seen.query_type) == (
        "dns_query",
        "10.0.0.5",
        "192.0.2.9",
        "pimeyes.com",
        "A",
    )
    assert (seen.time.isoformat(), seen.flow) == ("2026-11-23T06:27:29.642344+00:00", "7")


@pytest.mark.parametrize(
    ("sides", "version"),
    [
        (SERVER | {"src_port": 53}, None),
        (CLIENT | {"dest_port": 53}, 2),
        (SERVER | {"src_port": 53}, 2),
        (SERVER | {"src_port": 53}, 3),
        (CLIENT | {"dest_port": 853}, 3),
        (CLIENT | {"dest_port": 5053}, 2),
        (SERVER | {"src_port": 5053}, 3),
    ],
)
def test_the_client_of_an_answer_is_who_asked(sides, version):
    """Suricata 7 names the client as the source, 8 the server: an address of a resolver must never be accused."""
    inner = {"type": "answer", "rrname": "pimeyes.com", "rcode": "NOERROR"} | ({"version": version} if version else {})
    (seen,) = read("dns", inner, **sides)
    assert (seen.kind, seen.client, seen.client_port, seen.server) == ("dns_answer", "10.0.0.5", 40000, "192.0.2.9")


def test_an_answer_of_an_old_version_on_an_odd_port_has_no_client():
    """Nothing tells the sides apart: nobody rather than the wrong one."""
    (seen,) = read("dns", {"type": "answer", "rrname": "pimeyes.com"}, **CLIENT, dest_port=5053)
    assert (seen.client, seen.server, seen.name) == (None, None, "pimeyes.com")


def test_what_an_answer_holds():
    """Addresses, and the names it points on to; a refusal by policy is told."""
    answers = [
        {"rrname": "a.example", "rrtype": "CNAME", "rdata": "pimeyes.com"},
        {"rrname": "pimeyes.com", "rrtype": "A", "rdata": "192.0.2.1"},
        {"rrname": "a.example", "rrtype": "TXT", "rdata": "clearview.ai"},
    ]
    (seen,) = read("dns", {"version": 2, "type": "answer", "rrname": "a.example", "answers": answers}, **CLIENT, dest_port=53)
    assert (seen.answers, seen.names, seen.action) == (("pimeyes.com", "192.0.2.1"), ("pimeyes.com",), None)
    (seen,) = read("dns", {"version": 2, "type": "answer", "rrname": "a.example", "rcode": "REFUSED"}, **CLIENT, dest_port=53)
    assert seen.action == "blocked"


def test_names_of_the_neighbourhood_are_no_look_ups():
    """Multicast DNS asks the machines around, not a resolver."""
    assert read("dns", {"version": 2, "type": "query", "rrname": "pimeyes.com"}, **CLIENT, dest_port=5353) == ()


def test_of_a_quic_connections_events_one_counts():
    """Five were recorded of one connection, three of them the server's."""
    assert read("quic", {"version": "1"}, **CLIENT, dest_port=443) == ()
    assert read("quic", {"version": "1", "ja3s": {"hash": "x"}}, **SERVER, src_port=443) == ()
    for sides in (CLIENT | {"dest_port": 443}, SERVER | {"src_port": 443}):
        (seen,) = read("quic", {"sni": "pimeyes.com", "extensions": [{"name": "alpn", "values": ["h3"]}]}, **sides)
        assert (seen.kind, seen.client, seen.server, seen.alpn) == ("quic_client_hello", "10.0.0.5", "192.0.2.9", ("h3",))


def test_tls_without_a_name():
    """The hello is told; no name is guessed from a certificate."""
    (seen,) = read("tls", {"subject": "CN=pimeyes.com", "version": "TLS 1.2"}, **CLIENT, dest_port=443)
    assert (seen.kind, seen.name) == ("tls_client_hello", None)


@pytest.mark.parametrize(
    ("inner", "kind", "name", "server", "path"),
    [
        ({"hostname": "PimEyes.com", "url": "/a?b", "http_method": "GET"}, "http_request", "pimeyes.com", "192.0.2.9", "/a"),
        ({"hostname": "proxy", "url": "http://pimeyes.com/a", "http_method": "GET"}, "http_request", "pimeyes.com", None, "/a"),
        (
            {"hostname": "pimeyes.com:443", "url": "pimeyes.com:443", "http_method": "CONNECT"},
            "proxy_connect",
            "pimeyes.com",
            None,
            None,
        ),
        (
            {"url": "/", "request_headers": [{"name": ":authority", "value": "pimeyes.com"}]},
            "http_request",
            "pimeyes.com",
            "192.0.2.9",
            "/",
        ),
    ],
)
def test_http_to_a_server_and_to_a_proxy(inner, kind, name, server, path):
    """Of a request through a proxy the destination is the proxy, not the site."""
    (seen,) = read("http", inner | {"status": 200, "length": 6}, **CLIENT, dest_port=80)
    assert (seen.kind, seen.name, seen.server, seen.path, seen.client) == (kind, name, server, path, "10.0.0.5")
    assert (seen.bytes_up, seen.bytes_down) == (None, 6)


def test_a_flow_counts_both_ways_and_begins_at_its_start():
    """The event is written when the flow has timed out, minutes later."""
    inner = {
        "bytes_toserver": 9,
        "bytes_toclient": 5,
        "start": "2026-11-23T07:20:00.0+0100",
        "end": "2026-11-23T07:20:01.5+0100",
    }
    (seen,) = read("flow", inner, **CLIENT, dest_port=443)
    assert (seen.bytes_up, seen.bytes_down, seen.duration) == (9, 5, 1.5)
    assert seen.time.isoformat() == "2026-11-23T06:20:00+00:00"


def test_a_mail_is_the_mailboxes_and_no_address_is_accused():
    """The client of an SMTP session is another mail server."""
    seen = read(
        "smtp", {"mail_from": "<x@PimEyes.com>", "rcpt_to": ["<A@corp.example>", "<b@corp.example>"]}, **CLIENT, dest_port=25
    )
    assert [(one.kind, one.user, one.name, one.client) for one in seen] == [
        ("mail", "a@corp.example", "pimeyes.com", None),
        ("mail", "b@corp.example", "pimeyes.com", None),
    ]
    assert read("smtp", {"mail_from": "<>"}, **CLIENT, dest_port=25) == ()


def test_a_lease_is_given_by_an_acknowledgement():
    """An offer may be declined."""
    lease = {"assigned_ip": "10.0.0.7", "hostname": "PC", "lease_time": 60, "dhcp_type": "ack"}
    (seen,) = read("dhcp", lease, **SERVER, src_port=67)
    assert (seen.kind, seen.client, seen.device, seen.duration) == ("dhcp_lease", "10.0.0.7", "pc", 60.0)
    assert read("dhcp", lease | {"dhcp_type": "offer"}, **SERVER, src_port=67) == ()


@pytest.mark.parametrize(
    "extra",
    [
        CLIENT | {"flow": {"src_ip": "10.0.0.5"}},
        SERVER | {"flow": {"src_ip": "10.0.0.5"}},
        SERVER | {"direction": "to_client"},
        CLIENT | {"direction": "to_server"},
    ],
)
def test_only_an_alert_that_blocked_is_told_and_whom(extra):
    """An alert on an answer names the server as its source."""
    (seen,) = read("alert", {"action": "blocked"}, tls={"sni": "pimeyes.com"}, **extra)
    assert (seen.kind, seen.name, seen.client, seen.action) == ("tls_client_hello", "pimeyes.com", "10.0.0.5", "blocked")
    assert read("alert", {"action": "allowed"}, tls={"sni": "pimeyes.com"}, **extra) == ()


@pytest.mark.parametrize("kind", ["fileinfo", "stats", "netflow", "anomaly"])
def test_what_repeats_or_tells_of_no_access(kind):
    """A file's event holds the request's object again: counted twice it would be two visits."""
    assert read(kind, {}, http={"hostname": "pimeyes.com", "url": "/"}, **CLIENT) == ()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "{",
        '{"event_type":"dns"}',
        '{"event_type":"dns","dns":[]}',
        "[" * 100_000,
        '{"event_type":"dns","dns":{},"timestamp":1}',
    ],
)
def test_another_shape_is_malformed(line):
    """Deep nesting ends a careless reader."""
    with pytest.raises(Malformed):
        suricata.parse(line.encode(), Stream(clock()))
