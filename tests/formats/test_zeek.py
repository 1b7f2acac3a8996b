"""Zeek's logs: the same rows as TSV and as JSON, whatever header, version or wrapper they come in."""

from __future__ import annotations

import contextlib
import json

import pytest

from sentinel.formats import zeek_json, zeek_tsv
from sentinel.formats.format import Malformed, Stream
from tests.formats.samples import clock, reader

WHO = {
    "ts": "1700000000.123456",
    "uid": "CzaqP91edb9",
    "id.orig_h": "10.0.0.5",
    "id.orig_p": 52634,
    "id.resp_h": "192.0.2.8",
    "id.resp_p": 443,
}


def told(row: dict, path: str | None = None):
    """Return what a row says, and hold that TSV and JSON say the same."""
    row = WHO | row
    as_json = zeek_json.parse(json.dumps(({"_path": path} if path else {}) | row).encode(), Stream(clock()))
    reading = reader("zeek-tsv")
    header = [b"#separator \\x09", b"#path\t" + (path or "").encode(), b"#fields\t" + "\t".join(row).encode()]
    for line in header if path else (header[0], header[2]):
        assert reading.parse(line) == ()
    cells = (",".join(cell) if isinstance(cell, list) else str(cell) for cell in row.values())
    assert tuple(reading.parse("\t".join(cells).encode())) == tuple(as_json)
    return as_json


def test_a_row_says_when_who_and_whom():
    """The originator is the client; the uid joins the rows of one connection."""
    (seen,) = told({"server_name": "App.Clearview.ai", "version": "TLSv13", "cipher": "x"})
    assert seen.time.isoformat() == "2023-11-14T22:13:20.123456+00:00"
    assert (seen.client, seen.client_port, seen.server, seen.server_port) == ("10.0.0.5", 52634, "192.0.2.8", 443)
    assert (seen.kind, seen.name, seen.flow, seen.time_text) == (
        "tls_client_hello",
        "app.clearview.ai",
        "CzaqP91edb9",
        "1700000000.123456",
    )


def test_dns():
    """One row is question and answer: one observation, with the aliases that led to the address."""
    answers = ["edge.example.net", "192.0.2.20"]
    (seen,) = told(
        {
            "id.resp_p": 53,
            "trans_id": 1,
            "query": "Clearview.ai",
            "qtype_name": "A",
            "rcode_name": "NOERROR",
            "answers": answers,
        }
    )
    assert (seen.kind, seen.name, seen.query_type, seen.names) == ("dns_query", "clearview.ai", "A", ("edge.example.net",))
    assert seen.answers == ("edge.example.net", "192.0.2.20")


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ({"query": "9.2.0.192.in-addr.arpa", "qtype_name": "PTR", "answers": ["clearview.ai"]}, ()),
        ({"query": "a.example", "qtype_name": "TXT", "answers": ["clearview.ai"]}, ()),
        ({"query": "a.example", "qtype_name": "A", "answers": ["TXT 9 clearview.ai x"]}, ()),
    ],
)
def test_a_name_in_an_answer_is_not_asked_for(row, names):
    """Whoever looks up an address backwards, or a TXT record, has not been to the name it holds."""
    (seen,) = told({"id.resp_p": 53, "trans_id": 1} | row)
    assert seen.names == names


@pytest.mark.parametrize("port", [137, 5353, 5355])
def test_names_asked_of_the_neighbours_are_no_look_up(port):
    """mDNS, LLMNR and NetBIOS are in dns.log too."""
    assert told({"id.resp_p": port, "trans_id": 1, "query": "clearview.ai", "qtype_name": "A"}) == ()


def test_quic():
    """The hello of QUIC, with the protocol it offers."""
    (seen,) = told({"version": "1", "client_initial_dcid": "e3", "server_name": "pimeyes.com", "client_protocol": "h3"})
    assert (seen.kind, seen.name, seen.alpn) == ("quic_client_hello", "pimeyes.com", ("h3",))


def test_http():
    """Sizes are those of the bodies; the user name is what the request claimed."""
    (seen,) = told(
        {"trans_depth": 1, "method": "POST", "host": "PimEyes.com:8080", "uri": "/a?b=c", "username": "alice",
         "request_body_len": 50000, "response_body_len": 7, "status_code": 200, "user_agent": "x"}
    )  # fmt: skip
    assert (seen.kind, seen.name, seen.url, seen.path, seen.query) == (
        "http_request", "pimeyes.com", "http://PimEyes.com:8080/a?b=c", "/a", "b=c",
    )  # fmt: skip
    assert (seen.bytes_up, seen.bytes_down, seen.user, seen.claimed_user) == (50000, 7, None, "alice")


def test_a_request_to_a_proxy_names_the_site_in_its_url():
    """The responder is the proxy, not the site; a Host header that differs is kept beside the URL's host."""
    (seen,) = told(
        {"trans_depth": 1, "method": "GET", "host": "front.example", "uri": "http://u:p@PimEyes.com/x", "status_code": 407}
    )
    assert (seen.name, seen.names, seen.server, seen.path, seen.action) == (
        "pimeyes.com",
        ("front.example",),
        None,
        "/x",
        "challenged",
    )


@pytest.mark.parametrize(("status", "action"), [(200, "allowed"), (403, "blocked"), (407, "challenged"), (503, None)])
def test_a_connect_is_a_tunnel(status, action):
    """Only the proxy answers a CONNECT: 403 is its refusal."""
    (seen,) = told({"trans_depth": 1, "method": "CONNECT", "uri": "pimeyes.com:443", "status_code": status})
    assert (seen.kind, seen.name, seen.server, seen.server_port, seen.action) == (
        "proxy_connect",
        "pimeyes.com",
        None,
        443,
        action,
    )


def test_conn():
    """Bytes are payload, from the client's point of view."""
    (seen,) = told(
        {
            "conn_state": "SF",
            "duration": 1.5,
            "orig_bytes": 1147,
            "resp_bytes": 589,
            "orig_ip_bytes": 1439,
            "resp_ip_bytes": 921,
        }
    )
    assert (seen.kind, seen.bytes_up, seen.bytes_down, seen.duration, seen.name) == ("flow", 1147, 589, 1.5, None)


def test_payload_that_cannot_have_been_sent_is_unknown():
    """After lost packets sequence numbers give absurd sizes; an upload must not be made of them."""
    row = {"conn_state": "SF", "orig_bytes": 4294967295, "orig_ip_bytes": 400, "missed_bytes": 20, "resp_bytes": 5}
    (seen,) = told(row)
    assert (seen.bytes_up, seen.bytes_down) == (None, 5)


@pytest.mark.parametrize(("path", "told_of"), [("dns_red", 1), ("my-dns", 1), ("conn_long", 0), ("dhcp", 1)])
def test_the_name_of_the_log_only_helps(path, told_of):
    """Sites rename logs and Corelight reduces them; a long connection is told again at its end, and counts once."""
    row = {"trans_id": 1, "query": "pimeyes.com", "id.resp_p": 53} if path != "conn_long" else {"conn_state": "SF"}
    assert len(told(row, path)) == told_of


@pytest.mark.parametrize(
    ("row", "address"),
    [
        ({"assigned_ip": "10.0.0.7", "lease_time": "60.0"}, "10.0.0.7"),
        ({"assigned_addr": "10.0.0.7", "msg_types": ["DISCOVER", "OFFER", "REQUEST", "ACK"], "lease_time": 60}, "10.0.0.7"),
        ({"client_addr": "10.0.0.7", "msg_types": ["INFORM", "ACK"], "lease_time": 60}, "10.0.0.7"),
        ({"assigned_addr": "10.0.0.7", "msg_types": ["DISCOVER", "OFFER"]}, None),
    ],
)
def test_a_lease_is_given_by_an_acknowledgement(row, address):
    """Before 2.6 and since; an offer alone may be declined."""
    seen = told(row | {"mac": "00:20:18:eb:ca:21", "host_name": "PC"}, "dhcp")
    assert [(one.kind, one.client, one.device, one.duration) for one in seen] == (
        [("dhcp_lease", address, "pc", 60.0)] if address else []
    )


def test_a_mail_is_the_mailboxes_and_no_address_is_accused():
    """The originator is another mail server; a recipient's server that refused kept the mail out."""
    row = {
        "mailfrom": "<bounce@mta.example>",
        "from": "PimEyes <no-reply@PimEyes.com>",
        "trans_depth": 1,
        "last_reply": "250 ok",
    }
    seen = told(row | {"rcptto": ["<A@corp.example>", "b@corp.example", "nobody"]}, "smtp")
    assert [(one.kind, one.user, one.name, one.names, one.client) for one in seen] == [
        ("mail", "a@corp.example", "mta.example", ("pimeyes.com",), None),
        ("mail", "b@corp.example", "mta.example", ("pimeyes.com",), None),
    ]
    (seen,) = told(row | {"rcptto": ["a@corp.example"], "last_reply": "550 no such user"}, "smtp")
    assert seen.action == "blocked"


def test_recipients_in_a_row():
    """A set is written in one column."""
    (one, two) = rows(
        b"#fields\tts\tuid\ttrans_depth\tmailfrom\trcptto", b"1700000000.0\tCz\t1\tx@a.example\tb@c.example,d@c.example"
    )
    assert (one.user, two.user) == ("b@c.example", "d@c.example")


def test_other_logs_tell_of_no_access():
    """dhcp.log had a transaction id too."""
    assert told({"mac": "00:20:18:eb:ca:21", "trans_id": 1}, "dhcp") == ()
    assert told({"fuid": "Fx", "source": "HTTP"}, "files") == ()


@pytest.mark.parametrize(
    "written",
    ["1700000000.123456", 1700000000.123456, "2023-11-14T22:13:20.123456Z", 1700000000123, "2023-11-14T22:13:20.123456+00:00"],
)
def test_each_way_json_writes_a_time(written):
    """Seconds, ISO 8601 and milliseconds: by magnitude, and without losing digits to floats."""
    (seen,) = zeek_json.parse(json.dumps(WHO | {"ts": written, "conn_state": "SF"}).encode(), Stream(clock()))
    assert seen.time.isoformat() in ("2023-11-14T22:13:20.123456+00:00", "2023-11-14T22:13:20.123000+00:00")


@pytest.mark.parametrize(
    "record",
    [
        {"dns": WHO | {"query": "pimeyes.com"}},
        {"@stream": "dns", "ts": 1700000000.1, "uid": "Cz", "id_orig_h": "10.0.0.5", "query": "pimeyes.com"},
        {"_path": "dns", "query": "pimeyes.com"} | WHO,
    ],
)
def test_each_wrapper(record):
    """Metron's, the one with underscores, and Corelight's."""
    line = json.dumps(record).encode()
    for written in (line, b"<13>Nov 14 22:13:20 sensor zeek[1]: " + line):
        (seen,) = zeek_json.parse(written, Stream(clock()))
        assert (seen.kind, seen.name, seen.client) == ("dns_query", "pimeyes.com", "10.0.0.5")
    assert zeek_json.recognise([line]) == 1.0


@pytest.mark.parametrize(
    "line",
    ["", "[]", "{", "{}", '{"ts":1}', '"x"', '{"dns":[]}', "[" * 100_000, '{"a":' * 100_000, '{"ts":' + "9" * 5000 + "}"],
)
def test_json_of_another_kind_is_malformed_or_silent(line):
    """Deep nesting and endless numbers end a careless reader."""
    with contextlib.suppress(Malformed):
        assert zeek_json.parse(line.encode(), Stream(clock())) == ()
    assert zeek_json.recognise([line.encode()]) == 0.0


@pytest.mark.parametrize("value", ["[1]", "{}", "true", "null", '"-3"', '"1e400"', "99999999999999999999"])
@pytest.mark.parametrize(
    "field", ["id.orig_h", "id.orig_p", "query", "answers", "uid", "orig_bytes", "duration", "status_code"]
)
def test_a_value_of_another_type_is_left_out(field, value):
    """A field that is not what it should be is unknown; the rest of the row still counts."""
    for mark in ("trans_id", "conn_state", "trans_depth"):
        row = json.dumps(WHO | {"query": "a.example", mark: "1"})[:-1] + f', "{field}": {value}}}'
        assert len(zeek_json.parse(row.encode(), Stream(clock()))) <= 1


def rows(*lines: bytes):
    """Return what TSV lines say, one after the other."""
    reading = reader("zeek-tsv")
    return [seen for line in lines for seen in reading.parse(line)]


def test_columns_change_in_the_middle_of_a_file():
    """Rotated logs are concatenated, and an update adds columns: the header in force counts, never the position."""
    seen = rows(
        b"#separator \\x09",
        b"#path\tdns",
        b"#fields\tts\tid.orig_h\ttrans_id\tquery",
        b"1700000000.000000\t10.0.0.5\t1\ta.example",
        b"#close\t2023-11-14-23-00-00",
        b"#separator\t\\x09",
        b"#unset_field\tNONE",
        b"#path\tssl",
        b"#fields\tts\tserver_name\tid.orig_h\tversion",
        b"1700000001.000000\tb.example\t10.0.0.6\tTLSv12",
        b"1700000001.000000\tNONE\t10.0.0.6\tTLSv12",
    )
    assert [(one.kind, one.name, one.client) for one in seen] == [
        ("dns_query", "a.example", "10.0.0.5"),
        ("tls_client_hello", "b.example", "10.0.0.6"),
        ("tls_client_hello", None, "10.0.0.6"),
    ]


def test_another_separator():
    """`LogAscii::separator` can be set; the header's own lines are then separated so, too."""
    (seen,) = rows(
        b"#separator \\x7c", b"#path|dns", b"#fields|ts|id.orig_h|trans_id|query", b"1700000000.000000|10.0.0.5|1|a.example"
    )
    assert seen.name == "a.example"


def test_escapes_are_undone():
    r"""A hidden name would not be found: bytes, separators and a literal "-" are written as \xHH."""
    head = b"#separator \\x09", b"#path\tdns", b"#fields\tts\ttrans_id\tquery\tqtype_name\tanswers"
    (seen,) = rows(*head, b"1700000000.0\t1\tclear\\x76iew.ai\tA\tb\\x2cb.example,b\\xc3\\xbccher.example,(empty)")
    assert (seen.name, seen.names) == ("clearview.ai", ("b,b.example", "bücher.example", "(empty)"))
    (seen,) = rows(*head, b"1700000000.0\t1\t\\x2d\tA\t(empty)")
    assert seen.answers == ()


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (
            "udp	41477	paypal.com	1	C_INTERNET	48	DNSKEY	0	NOERROR	F	F	T	F	1	-	-	F",
            "dns_query",
        ),
        (
            "udp	41477	0.075138	paypal.com	1	C_INTERNET	48	DNSKEY	0	NOERROR	F	F	T	F	1	-	-	F",
            "dns_query",
        ),
        ("tcp	ssl	0.153642	1147	589	SF	T	F	0	ShADadfF	7	1439	8	921	(empty)", "flow"),
        (
            "1	GET	a.example	/	-	1.1	curl	-	0	471	200	OK	-	-	(empty)	-	-	-	-	-	-	-	-	-",
            "http_request",
        ),
        (
            "TLSv13	TLS_AES_128_GCM_SHA256	x25519	a.example	F	-	h2	T	CsiI	-	-	T",
            "tls_client_hello",
        ),
    ],
)
def test_without_a_header_the_usual_columns_are_taken(row, kind):
    """Files are cut and shipped by syslog; where just one log has such columns, they are read so."""
    line = f"1359565680.761790	UWkUyAuUGXf	192.168.6.10	53209	192.168.129.36	53	{row}".encode()
    assert [seen.kind for seen in rows(line)] == [kind]
    assert zeek_tsv.recognise([line]) == 1.0


@pytest.mark.parametrize(
    "row",
    [
        "udp	41477	paypal.com",
        "tcp	ssl	x	1147	589	LOUD	T	F	0	ShADadfF	7	1439	8	921	(empty)",
        "1	2",
    ],
)
def test_without_a_header_other_columns_are_malformed(row):
    """Read by position, a column too many would put one person's name to another's address."""
    with pytest.raises(Malformed):
        rows(f"1359565680.761790	UWkUyAuUGXf	192.168.6.10	53209	192.168.129.36	53	{row}".encode())


def test_a_row_with_other_columns_than_its_header_is_malformed():
    """A cut row, or a tab inside a value."""
    with pytest.raises(Malformed):
        rows(b"#fields\tts\ttrans_id\tquery", b"1700000000.0\t1")
