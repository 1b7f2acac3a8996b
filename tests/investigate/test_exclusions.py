"""What policy excludes from monitoring is nowhere: not in the store, an alert, JSON, CSV or the report, however it came."""

import ipaddress
import re
from datetime import UTC, datetime
from io import StringIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from sentinel.extract import Ruling
from sentinel.investigate.replay import Inquiry, replay
from sentinel.investigate.report import html
from sentinel.investigate.result import as_csv, write_json
from sentinel.policy.policy import Excluded, Policy
from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.reading import load_catalog
from sentinel.store.store import Store

NEVER = [ipaddress.ip_network("10.9.0.0/28"), ipaddress.ip_network("2001:db8:9::/64")]
POLICY = Policy(exclusions=[Excluded("Ombuds office", [str(network) for network in NEVER])])
RULING = Ruling.of(load_catalog([builtin_rules()]), POLICY)
NOW = datetime(2026, 3, 1, tzinfo=UTC)

excluded = st.sampled_from(["10.9.0.1", "10.9.0.15", "2001:db8:9::7"])
watched = st.sampled_from(["10.9.0.16", "10.20.3.4", "2001:db8:8::7"])
clients = st.lists(st.tuples(st.booleans(), excluded, watched), min_size=1, max_size=12).map(
    lambda many: [never if hidden else seen for hidden, never, seen in many]
)


def hidden(address):
    return any(ipaddress.ip_address(address) in network for network in NEVER)


def everything(kind, path):
    """All that an inquiry keeps and shows, as one text, and how many matched observations it dropped."""
    store = Store.memory()
    try:
        inquiry = Inquiry(kind=kind, paths=[str(path)], ruling=RULING, store=store, case=True, zone="UTC")
        result = replay(inquiry)
        shown = StringIO()
        write_json(result, shown.write)
        kept = [
            *(f"{finding} {finding.raw!r}" for finding in store.findings()),
            *map(str, store.sessions()), *map(str, store.alerts()), *map(str, store.inputs()), *map(str, store.coverage()),
        ]  # fmt: skip
        page = html(result, title="x", policy=POLICY, version="1", generated=NOW)
        dropped = sum(one.excluded for one in store.inputs())
        return "\n".join([shown.getvalue(), as_csv(result), page, *kept]), dropped, len(kept)
    finally:
        store.close()


def held(text, dropped, clients, matched):
    assert dropped == sum(map(hidden, clients)) * matched
    for client in filter(hidden, clients):
        assert not re.search(rf"(?<![0-9a-f.:]){re.escape(client)}(?![0-9a-f:]|\.[0-9])", text), client
    for client in clients:
        assert hidden(client) or client in text


@pytest.mark.integration
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clients)
def test_nothing_of_an_excluded_address_comes_out_of_a_log(tmp_path, clients):
    """Queries and proxy requests, records that cannot be read, IPv4 and IPv6; what was dropped is counted."""
    log = tmp_path / "dns.log"
    lines = [f"Mar  1 12:00:{n:02d} gw dnsmasq[1]: query[A] pimeyes.com from {c}\n" for n, c in enumerate(clients)]
    broken = [f"Mar  1 12:0x:00 gw dnsmasq[1]: query[A] pimeyes.com from {c}\n" for c in clients if hidden(c)]
    log.write_text("".join(lines + broken))
    text, dropped, _ = everything("logs", log)
    held(text, dropped, clients, 1)


@pytest.mark.integration
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clients)
def test_nothing_of_an_excluded_address_comes_out_of_a_capture(tmp_path, clients):
    """Questions and answers alike, in packets of both families."""
    packets = []
    for n, client in enumerate(clients):
        server = "2001:db8::53" if ":" in client else "10.0.0.53"
        layer = IPv6 if ":" in client else IP
        query = DNS(id=n, rd=1, qd=DNSQR(qname="pimeyes.com"))
        answer = DNS(id=n, qr=1, qd=DNSQR(qname="pimeyes.com"), an=DNSRR(rrname="pimeyes.com", rdata="192.0.2.9"))
        packets += [
            Ether() / layer(src=client, dst=server) / UDP(sport=4000 + n, dport=53) / query,
            Ether() / layer(src=server, dst=client) / UDP(sport=53, dport=4000 + n) / answer,
        ]
    for n, packet in enumerate(packets):
        packet.time = 1772366400 + n
    wrpcap(str(tmp_path / "x.pcap"), packets)
    text, dropped, _ = everything("pcap", tmp_path / "x.pcap")
    held(text, dropped, clients, 2)


def test_an_answer_that_holds_an_excluded_address_is_dropped(tmp_path):
    """The address stands in the record, whoever asked."""
    log = tmp_path / "dns.log"
    log.write_text("Mar  1 12:00:00 gw dnsmasq[1]: reply pimeyes.com is 10.9.0.3\n")
    text, _, _ = everything("logs", log)
    assert "10.9.0.3" not in text


@pytest.mark.parametrize("url", ["/10.9.0.3", "/?for=10.9.0.3"])
def test_nobody_hides_by_writing_an_excluded_address_into_a_url(tmp_path, url):
    """Only who asked and who was asked count: all other text is the client's to choose."""
    log = tmp_path / "access.log"
    line = f"1772366400.000 3 10.20.3.4 TCP_MISS/200 374 GET https://pimeyes.com{url} - HIER_DIRECT/192.0.2.9 text/html\n"
    log.write_text(line)
    _, dropped, kept = everything("logs", log)
    assert dropped == 0
    assert kept > 2
