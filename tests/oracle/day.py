"""A day in town: everything that the programs on the desk ask for, on a clean path and on bad ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.oracle import clients, town
from tests.oracle.browsers import chromium, firefox
from tests.oracle.clients import PROXY, numbered
from tests.oracle.wire import TOWN6, Faults, Wire, Writer, captured, wire

LARGE = "large.town.example"
DNS_LINES = [
    "cname=alias.town.example,target.town.example", "host-record=target.town.example,10.77.0.1,fd77::1", "edns-packet-max=4096",
    *(f"txt-record={LARGE},{'x' * 250}" for _ in range(9)), "mx-host=mail.town.example,mx.town.example,10",
    "dns-rr=svc.town.example,65,000100000100060268330268320004000404020a4d0001",
]  # fmt: skip


@dataclass
class Day:
    """A day in town: where everything is, and what was asked for."""

    on: Wire
    directory: Path
    site: town.Issued
    many: int

    def dns(self) -> list[str]:
        """Ask the resolver in all the ways dig knows."""
        clients.dig_all(self.on, self.directory, numbered("udp", self.many))
        clients.dig_all(self.on, self.directory, numbered("UDP6-MixedCase", self.many // 2), server=TOWN6)
        clients.dig_all(self.on, self.directory, numbered("tcp", self.many // 4), "+tcp")
        clients.dig(self.on, "+tcp", "+keepopen", *numbered("kept", 30))
        for words in (
            (LARGE, "TXT", "+bufsize=4096", "+ignore"),
            ("alias.town.example", "A"),
            ("svc.town.example", "HTTPS"),
            (".", "NS"),
        ):
            clients.dig(self.on, *words)
            clients.dig(self.on, *words, server=TOWN6)
        return [*numbered("udp", self.many), *numbered("udp6-mixedcase", self.many // 2), *numbered("tcp", self.many // 4)]

    def tls(self) -> list[str]:
        """Make handshakes of every version, with and without a name, in records and segments of odd sizes."""
        names = numbered("tls", self.many)
        clients.curl(self.on, [f"https://{name}/" for name in names])
        clients.curl(self.on, [f"https://{name}/" for name in numbered("tls6", self.many // 4)], "-6", "--http1.1")
        old = ["-cipher", "ALL:@SECLEVEL=0"]
        odd: dict[str | None, list[str]] = {
            "tls10.town.example": ["-tls1", *old],
            "tls11.town.example": ["-tls1_1", *old],
            "tls12.town.example": ["-tls1_2"],
            "tls13.town.example": ["-tls1_3", "-alpn", "h2,http/1.1"],
            "split.town.example": ["-max_send_frag", "512", "-split_send_frag", "512"],
            "groups.town.example": ["-groups", "X25519:P-256:P-521"],
            f"long-{'x' * 50}.town.example": [],
            None: [],
        }
        for name, options in odd.items():
            clients.openssl(self.on, name, *options)
        kept = self.directory / "session"
        clients.openssl(self.on, "resumed.town.example", "-tls1_2", "-sess_out", str(kept))
        if kept.exists():
            clients.openssl(self.on, "resumed.town.example", "-tls1_2", "-sess_in", str(kept))
        return [*names, *(name for name in odd if name), "resumed.town.example"]

    def quic(self) -> list[str]:
        """Open QUIC connections of both versions, over both IPs, and by way of a Retry."""
        count = self.many // 4
        clients.quic(self.on, "v1", numbered("quic", self.many))
        clients.quic(self.on, "v2", numbered("quic-v2", count))
        clients.quic(self.on, "v1", numbered("quic-six", count), host=TOWN6)
        clients.quic(self.on, "v1", numbered("quic-retry", count), port=444)
        clients.quic(self.on, "v2", numbered("quic-v2-retry", count), port=444)
        return numbered("quic", self.many)

    def http(self) -> list[str]:
        """Ask in the clear: HTTP/1, pipelined, with bodies, HTTP/2, and through the proxy, in the clear and by CONNECT."""
        clients.curl(self.on, [f"http://{name}/a/b?c=d" for name in numbered("http", self.many)])
        clients.curl(self.on, [f"http://{name}/posted" for name in numbered("post", 10)], "--data", "GET / HTTP/1.1")
        clients.curl(
            self.on, [f"http://{name}/chunks" for name in numbered("chunked", 10)], "-HTransfer-Encoding: chunked", "-dxyz"
        )
        clients.curl(self.on, [f"http://{name}/two" for name in numbered("h2c", self.many // 4)], "--http2-prior-knowledge")
        clients.pipeline(self.on, "pipelined.town.example", 40)
        clients.curl(self.on, [f"http://{name}/by/proxy" for name in numbered("proxied", self.many // 2)], "-x", PROXY)
        clients.curl(self.on, [f"https://{name}/" for name in numbered("tunnel", self.many // 2)], "-x", PROXY)
        return numbered("http", self.many)

    def chromium(self) -> list[str]:
        """Let Chromium ask, over TCP with its post-quantum key share, and over QUIC."""
        count = self.many // 2
        for over, options in (("tcp", []), ("quic", ["--origin-to-force-quic-on=*"])):
            names = numbered(f"chromium-{over}", count)
            with chromium(self.on, self.directory / over, self.site, *options) as page:
                page.visit("https://start.town.example/")
                asked = f"Promise.allSettled({[f'https://{name}/' for name in names]}.map(u => fetch(u, {{mode: 'no-cors'}})))"
                page.run(f"{asked}.then(all => all.length)")
        through = f"--proxy-server={PROXY}"
        with chromium(self.on, self.directory / "proxied", self.site, through) as page:
            page.visit("https://through-squid.town.example/")
        return numbered("chromium-tcp", count)

    def firefox(self) -> list[str]:
        """Let Firefox draw a page over TCP, and one over QUIC."""
        firefox(self.on, self.directory / "ff1", self.site, "https://firefox.town.example/")
        firefox(
            self.on, self.directory / "ff2", self.site, "https://firefox-quic.town.example/", quic=["firefox-quic.town.example"]
        )
        return ["firefox.town.example"]


@dataclass(frozen=True)
class Way:
    """What the path does, the town's largest packet, who captures, and which programs ask."""

    faults: Faults | None
    mtu: int
    writer: Writer
    programs: Sequence[str]


MOST = ("dns", "tls", "quic", "http", "chromium")
WAYS = {
    "clean": Way(None, 1280, "tcpdump", (*MOST, "firefox")),
    "bad path": Way(Faults(lost=0.02, late=0.2, twice=0.05), 1500, "dumpcap", MOST),
    "fragments": Way(Faults(late=0.1, twice=0.02, largest=576), 1500, "tcpdump", MOST),
}


@contextlib.contextmanager
def day(directory: Path, way: Way, many: int) -> Iterator[Day]:
    """Set the town up."""
    with contextlib.ExitStack() as stack:
        on = stack.enter_context(wire(directory / "wire", faults=way.faults, mtu=way.mtu))
        stack.enter_context(town.resolver(on, directory / "dns", DNS_LINES))
        site = stack.enter_context(town.site(on, directory / "site", ["*.town.example", "town.example"]))
        stack.enter_context(town.proxy(on))
        yield Day(on, directory, site, many)


def lived(directory: Path, capture: Path, way: Way, many: int) -> set[str]:
    """Capture a day and return the names that were asked for."""
    with day(directory, way, many) as street, captured(street.on, capture, way.writer), ThreadPoolExecutor() as pool:
        asked = [pool.submit(getattr(street, name)) for name in way.programs]
        return {name for one in asked for name in one.result()}
