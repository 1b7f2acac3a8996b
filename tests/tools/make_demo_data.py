"""Makes the logs and the capture that `sentinel demo` plays: one fictional hour of a fictional department.

    python tests/tools/make_demo_data.py sentinel/demo/data

All addresses are from documentation and private ranges (RFC 5737, RFC 1918), all people are invented.
"""

import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.layers.tls.extensions import ServerName, TLS_Ext_ServerName, TLS_Ext_SupportedGroups
from scapy.layers.tls.handshake import TLSClientHello
from scapy.layers.tls.record import TLS
from scapy.utils import wrpcap

START = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
EVERYDAY = ["mail.dept.example", "intranet.dept.example", "weather.example", "news.example", "maps.example", "cdn.example.net"]
UPLOAD = "https://app.clearview.ai/api/v1/search_uploads"
SEARCH = "https://app.clearview.ai/api/v1/searches"


def squid(minute, client, method, url, user="-", result="TCP_MISS/200", size=5120, took=90):
    at = START + timedelta(minutes=minute)
    route = "HIER_NONE/-" if "DENIED" in result else "HIER_DIRECT/203.0.113.20"
    return at, f"{at.timestamp():.3f} {took:6d} {client} {result} {size} {method} {url} {user} {route} -"


def dnsmasq(minute, client, name, kind="A"):
    at = START + timedelta(minutes=minute)
    return at, f"{at:%b %e %H:%M:%S} dnsmasq[812]: query[{kind}] {name} from {client}"


def proxy_log():
    lines = [
        squid(
            random.uniform(0, 59),
            f"10.20.{random.randint(3, 7)}.{random.randint(2, 60)}",
            "CONNECT",
            f"{random.choice(EVERYDAY)}:443",
            size=random.randint(900, 90000),
        )
        for _ in range(240)
    ]
    lines += [
        squid(4, "10.20.3.9", "GET", "https://news.example/2026/clearview.ai-banned", "rlee"),
        squid(10, "10.20.3.4", "GET", "https://app.clearview.ai/app/login", "jdoe"),
        squid(10.3, "10.20.3.4", "POST", "https://app.clearview.ai/auth/generate_login_token", "jdoe"),
        squid(12, "10.20.3.4", "POST", UPLOAD, "jdoe", took=900),
        *[squid(12.2 + 2.5 * n, "10.20.3.4", "POST", SEARCH, "jdoe", took=2100) for n in range(7)],
        squid(30.5, "10.20.3.4", "GET", "https://app.clearview.ai/api/v1/search_results/8812", "jdoe", size=81233),
        squid(18, "10.20.5.11", "GET", "https://facecheck.id/", "msmith", size=40211),
        squid(19, "10.20.5.11", "POST", "https://facecheck.id/api/upload_pic", "msmith"),
        squid(22, "10.20.6.2", "POST", "https://faces.county.example/search", "akhan"),
        squid(35, "10.20.4.40", "CONNECT", "lenso.ai:443", "tpark", "TCP_DENIED/403", 3900, 0),
    ]
    return sorted(lines)


def resolver_log():
    lines = [
        dnsmasq(random.uniform(0, 59), f"10.20.{random.randint(3, 7)}.{random.randint(2, 60)}", random.choice(EVERYDAY))
        for _ in range(240)
    ]
    lines += [
        dnsmasq(9.9, "10.20.3.4", "app.clearview.ai"),
        dnsmasq(9.9, "10.20.3.4", "app.clearview.ai", "HTTPS"),
        dnsmasq(15, "10.20.4.7", "PimEyes.com"),
        dnsmasq(17.9, "10.20.5.11", "facecheck.id"),
        dnsmasq(25, "10.20.7.30", "notclearview.ai"),
        dnsmasq(26, "10.20.7.31", "dns.google"),
    ]
    return sorted(lines)


def hello(minute, client, name, port):
    """A TCP handshake and a ClientHello in two segments, as browsers with a post-quantum key share send it."""
    at = (START + timedelta(minutes=minute)).timestamp()
    groups = TLS_Ext_SupportedGroups(groups=[0x001D, 0x0017])
    body = bytes(
        TLS(
            msg=[
                TLSClientHello(
                    ciphers=[0x1301, 0x1302, 0xC02F],
                    ext=[groups, TLS_Ext_ServerName(servernames=[ServerName(servername=name.encode())])],
                )
            ]
        )
    )
    base = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src=client, dst="203.0.113.77")
    back = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01") / IP(src="203.0.113.77", dst=client)
    cut = len(body) // 2
    packets = [
        base / TCP(sport=port, dport=443, flags="S", seq=1000),
        back / TCP(sport=443, dport=port, flags="SA", seq=0, ack=1001),
        base / TCP(sport=port, dport=443, flags="A", seq=1001, ack=1) / body[:cut],
        base / TCP(sport=port, dport=443, flags="PA", seq=1001 + cut, ack=1) / body[cut:],
        back / TCP(sport=443, dport=port, flags="PA", seq=1, ack=1001 + len(body)) / (b"\x17\x03\x03\x04\x00" + bytes(1024)),
        base / TCP(sport=port, dport=443, flags="FA", seq=1001 + len(body), ack=1030),
        back / TCP(sport=443, dport=port, flags="FA", seq=1030, ack=1002 + len(body)),
    ]
    for n, packet in enumerate(packets):
        packet.time = at + n * 0.01
    return packets


def query(minute, client, name):
    packet = (
        Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:03")
        / IP(src=client, dst="10.20.0.53")
        / UDP(sport=40000, dport=53)
        / DNS(rd=1, qd=DNSQR(qname=name))
    )
    packet.time = (START + timedelta(minutes=minute)).timestamp()
    return packet


def main():
    random.seed(20201117)
    folder = Path(sys.argv[1])
    (folder / "access.log").write_text("".join(line + "\n" for _, line in proxy_log()))
    (folder / "dnsmasq.log").write_text("".join(line + "\n" for _, line in resolver_log()))
    packets = [
        query(40, "10.20.7.8", "pimeyes.com"),
        *hello(40.01, "10.20.7.8", "pimeyes.com", 50001),
        *hello(41, "10.20.7.8", "jsc5.pimeyes.com", 50002),
    ]
    packets += [p for n in range(20) for p in hello(2 * n + 1, f"10.20.7.{n + 40}", random.choice(EVERYDAY), 51000 + n)]
    wrpcap(str(folder / "gateway.pcap"), sorted(packets, key=lambda p: p.time))


if __name__ == "__main__":
    main()
