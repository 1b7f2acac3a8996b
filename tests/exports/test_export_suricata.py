"""The Suricata rules in Suricata itself: over the same capture, the same connections are hit, for the same services."""

from __future__ import annotations

import contextlib
import json
import random
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.exports import cases
from tests.integration.lab import certificate
from tests.integration.mixed_traffic import Client, Traffic
from tests.packets.made_packets import decode

pytestmark = pytest.mark.integration

ROOT = Path(sys.prefix) / "debian" / "trixie"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
Way = Callable[[Client], Iterator[bytes]]
ACCESSES = {"dns_query", "tls_client_hello", "quic_client_hello", "http_request", "proxy_connect"}


def suricata(*words: object) -> list[str]:
    """Return a command of the Suricata in the Debian 13 root, with that root's own libraries and configuration.

    Its loader is told where they lie, so that no chroot, and no root user, is needed.
    """
    loaders = list(ROOT.glob("usr/lib*/ld-linux-*"))
    if not loaders or not (ROOT / "usr/bin/suricata").exists():
        pytest.skip("suricata 7 is not unpacked; tests/run gets it from Debian 13, as root")
    settings = ROOT / "etc" / "suricata"
    files = {"classification-file": "classification.config", "reference-config-file": "reference.config"}
    values = {
        **{key: settings / name for key, name in files.items()},
        "threshold-file": "/dev/null",
        "unix-command.enabled": "no",
    }
    sets = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    libraries = ":".join(str(folder) for folder in sorted(ROOT.glob("usr/lib/*-linux-gnu*")))
    program = [loaders[0], "--library-path", libraries, ROOT / "usr/bin/suricata", "-c", settings / "suricata.yaml", *sets]
    return [str(word) for word in (*program, *words)]


def capture() -> Traffic:
    """Return traffic that asks for each name in each way, and makes each request, every time by a client of its own."""
    traffic, pick = Traffic(), random.Random(1)
    for number, way in enumerate(ways()):
        traffic.frames += way(Client(number, pick))
    return traffic


def ways() -> Iterator[Way]:
    """Yield what a client does. Each name is asked for in two of five ways, in turn: all ways of all names take long."""
    for nth, name in enumerate(cases.names()):
        of_name = [_lookup, _hello, _quic, _page, _tunnel]
        for way in (of_name[nth % 5], of_name[(nth + 1 + nth // 5 % 4) % 5]):
            yield partial(way, name=name)
    for method, url in cases.requests():
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        made = request(method, target, parts.netloc)
        yield partial(Client.tcp, port=8080, first=made, answer=ANSWER, down=0, bulk=b"")


def _lookup(client: Client, name: str) -> Iterator[bytes]:
    return client.dns("".join(one.upper() if nth % 2 else one for nth, one in enumerate(name)))  # DNS 0x20


def _hello(client: Client, name: str) -> Iterator[bytes]:
    return client.tcp(443, *handshake(name), 0, b"")


def _quic(client: Client, name: str) -> Iterator[bytes]:
    return client.quic(name.encode(), 0, b"")


def _page(client: Client, name: str) -> Iterator[bytes]:
    return client.tcp(80, request("GET", "/", host_written(name)), ANSWER, 0, b"")


def _tunnel(client: Client, name: str) -> Iterator[bytes]:
    return client.tcp(3128, request("CONNECT", f"{name}:443", f"{name}:443"), ANSWER, 0, b"")


@cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a client and a server start from; the client trusts anybody."""
    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    with tempfile.TemporaryDirectory() as folder:
        files = certificate(Path(folder), [])
        server.load_cert_chain(files.certificate, files.key)
    return client, server


def handshake(name: str) -> tuple[bytes, bytes]:
    """Return the ClientHello of OpenSSL for *name*, and what an OpenSSL server answers."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client, server = contexts()
    ends = client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)
    flights = []
    for end, sent in zip(ends, (up, down), strict=True):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
        flights.append(sent.read())
        sent.write(flights[-1])
    return flights[0], flights[1]


def host_written(name: str) -> str:
    """Return the Host header as one client or another writes it: plain, with capitals, a port, or a final dot."""
    written = (name, name.upper(), f"{name}:8080", f"{name.capitalize()}:80", f"{name}.")
    return written[sum(name.encode()) % len(written)]


def request(method: str, target: str, host: str) -> bytes:
    """Return an HTTP request."""
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode()


def hits(frames: Sequence[bytes]) -> set[tuple[str, str]]:
    """Return who asked for which service, as Sentinel decodes the frames and matches what the export says that it holds."""
    seen = [one.observation for one in decode(frames) if one.observation.kind in ACCESSES]
    assert {one.kind for one in seen} == ACCESSES
    return {(one.client or "", service) for one in seen for service in cases.services(cases.said("suricata"), one)}


def test_suricata_accepts_every_rule(tmp_path):
    """A rule that does not load is skipped with a line in a log that nobody reads."""
    (tmp_path / "sentinel.rules").write_text(cases.text("suricata"))
    command = suricata("-T", "--init-errors-fatal", "-S", tmp_path / "sentinel.rules", "-l", tmp_path)
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_same_capture_gives_the_same_hits_as_sentinel(tmp_path):
    """By client and service: nothing more, and nothing less, whatever the protocol."""
    (tmp_path / "sentinel.rules").write_text(cases.text("suricata"))
    traffic = capture()
    traffic.write(tmp_path / "all.pcap")
    command = suricata("-S", tmp_path / "sentinel.rules", "-r", tmp_path / "all.pcap", "-l", tmp_path, "-k", "none")
    subprocess.run(command, capture_output=True, text=True, timeout=280, check=True)
    events = [json.loads(line) for line in (tmp_path / "eve.json").read_text().splitlines()]
    alerts = [event for event in events if event["event_type"] == "alert"]
    theirs = {
        (one["src_ip"], one["alert"]["metadata"]["sentinel_service"][0]) for one in alerts if "sentinel_service" in str(one)
    }
    ours = hits(traffic.frames)
    assert theirs == ours
