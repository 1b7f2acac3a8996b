"""One access makes many records: it stays one session, with what was done counted once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from sentinel.activity.records import Session
from sentinel.extract import Ruling
from sentinel.investigate.replay import Inquiry, replay
from sentinel.policy.policy import Policy
from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.reading import load_catalog
from sentinel.store.nothing import NoStore

RULING = Ruling.of(load_catalog([builtin_rules()]), Policy())


def session(folder: Path, **logs: Sequence[str]) -> Session:
    """Return the one session of some logs, whose names are those of their formats, with `_` for `-`."""
    for name, lines in logs.items():
        (folder / f"{name}.log").write_text("".join(line + "\n" for line in lines))
    paths = [str(folder / f"{name}.log") for name in logs]
    result = replay(Inquiry(kind="logs", paths=paths, ruling=RULING, store=NoStore(), zone="UTC"))
    assert [one.path for one in result.coverage if one.unparsed] == []
    (found,) = result.sessions
    return found


def squid(second: int, status: str, method: str, url: str, user: str = "-", size: int = 500) -> str:
    return f"17954108{second}.000    100 10.0.0.5 {status} {size} {method} {url} {user} HIER_DIRECT/203.0.113.9 text/html"


def test_a_request_that_is_asked_to_log_in_and_then_let_through(tmp_path):
    """The browser tries without a name first, as with every access through such a proxy: it is one search of that user's."""
    found = session(
        tmp_path,
        squid=[
            squid(20, "TCP_DENIED/407", "POST", "http://pimeyes.com/api/search/new"),
            squid(20, "TCP_DENIED/407", "POST", "http://pimeyes.com/api/search/new", "jdoe"),
            squid(21, "TCP_MISS/200", "POST", "http://pimeyes.com/api/search/new", "jdoe"),
        ],
    )
    assert (found.stage.word, found.searches, found.users) == ("search", 1, ("jdoe",))


def test_a_tunnel_that_is_opened_and_what_went_through_it(tmp_path):
    """With ssl-bump a proxy logs the CONNECT, once more by the name in the handshake, and each request inside."""
    found = session(
        tmp_path,
        squid=[
            squid(20, "NONE_NONE/200", "CONNECT", "203.0.113.9:443", size=0),
            squid(20, "NONE_NONE/200", "CONNECT", "pimeyes.com:443", size=0),
            squid(21, "TCP_MISS/200", "GET", "https://pimeyes.com/en"),
            squid(22, "TCP_MISS/200", "POST", "https://pimeyes.com/api/search/new"),
        ],
    )
    assert (found.stage.word, found.searches, found.attempts, found.findings) == ("search", 1, 0, 3)


def panos(kind: str, behind: str) -> str:
    """Return a record of one session, up to the action the same for each of them."""
    ahead = "10.0.0.5,203.0.113.9,0.0.0.0,0.0.0.0,rule,corp\\jdoe,,ssl,vsys1,trust,untrust,e1,e2,log,2026/11/23 05:13:41"
    return f"1,2026/11/23 05:13:41,001,{kind},2305,2026/11/23 05:13:41,{ahead},4711,1,50111,443,0,0,0x19,tcp,{behind}"


def panos_traffic(subtype: str, elapsed: int, sent: int, received: int) -> str:
    """Return what is logged when a connection begins, and when it ends."""
    times = f"20,2026/11/23 05:13:40,{elapsed},any,,17,0x0,DE,US,,10,10,tcp-fin,0,0,0,0,,PA,from-policy"
    return panos(f"TRAFFIC,{subtype}", f"allow,{sent + received},{sent},{received},{times}")


def panos_url(url: str) -> str:
    """Return what is logged of a request."""
    behind = "(9999),any,informational,client-to-server,17,0x0,DE,US,,text/html,0,,,1,,,,,,,,0,0,0,0,,PA,,,,get,0"
    return panos("THREAT,url", f'alert,"{url}",{behind}')


def test_a_firewalls_start_and_end_of_one_connection(tmp_path):
    """Only the URL's record names the site; the connection's two say nothing that is counted."""
    found = session(
        tmp_path, panos=[panos_traffic("start", 0, 600, 0), panos_url("pimeyes.com/"), panos_traffic("end", 30, 4000, 90000)]
    )
    assert (found.user, found.findings, found.searches, found.attempts) == ("corp\\jdoe", 1, 0, 0)


def quic(nth: int) -> str:
    event = {
        "timestamp": f"2026-11-23T05:13:4{nth}.000000+0000",
        "flow_id": 1234,
        "event_type": "quic",
        "src_ip": "10.0.0.5",
        "src_port": 50111,
        "dest_ip": "203.0.113.9",
        "dest_port": 443,
        "proto": "UDP",
        "quic": {"version": "1", "sni": "pimeyes.com"},
    }
    return json.dumps(event)


def test_a_handshake_that_a_sensor_tells_five_times(tmp_path):
    """Suricata writes an event for each of QUIC's first packets."""
    found = session(tmp_path, eve=[quic(nth) for nth in range(5)])
    assert (found.stage.word, found.searches, found.attempts) == ("contact", 0, 0)
    assert found.names == ("pimeyes.com",)


def dns(kind: str, **more: object) -> str:
    event = {
        "timestamp": "2026-11-23T05:13:40.000000+0000",
        "event_type": "dns",
        "src_ip": "10.0.0.5",
        "src_port": 50111,
        "dest_ip": "10.0.0.53",
        "dest_port": 53,
        "proto": "UDP",
        "dns": {"version": 2, "type": kind, "id": 1, "rrname": "pimeyes.com", "rrtype": "A", **more},
    }
    return json.dumps(event)


def test_a_question_and_its_answer(tmp_path):
    """Both are one look-up, and it reached nothing."""
    answer = dns("answer", rcode="NOERROR", grouped={"A": ["203.0.113.9"]})
    found = session(tmp_path, eve=[dns("query"), answer])
    assert (found.stage.word, found.client, found.searches) == ("lookup", "10.0.0.5", 0)


@pytest.mark.parametrize("twice", [False, True])
def test_the_same_access_in_the_resolvers_and_the_proxys_log(tmp_path, twice):
    """Two logs of one access, and a log that is there twice, are one session with one search."""
    proxied = [squid(41, "TCP_MISS/200", "POST", "http://pimeyes.com/api/search/new", "jdoe")]
    logs = {"dnsmasq": ["Nov 23 05:13:40 ns1 dnsmasq[1]: query[A] pimeyes.com from 10.0.0.5"], "squid": proxied}
    found = session(tmp_path, **logs, **({"copy": proxied} if twice else {}))
    assert (found.stage.word, found.searches, found.user) == ("search", 1, "jdoe")
