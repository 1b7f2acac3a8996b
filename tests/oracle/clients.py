"""Programs on the desk that ask, each in the ways it knows; and what names they were told to ask for.

Each returns the names that it put on the wire in the clear, so that a difference between the oracle and Sentinel can be settled
by what was really done.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.integration.lab import program
from tests.oracle.wire import TOWN, Wire

QUIC_CLIENT = Path(__file__).with_name("quic_client.py")
TYPES = ("A", "AAAA", "HTTPS", "SVCB", "TXT", "MX", "NS", "SOA", "SRV", "CAA", "PTR", "ANY", "NAPTR", "DS", "TLSA", "TYPE1234")
PROXY = f"http://{TOWN}:3128"


def numbered(what: str, count: int, below: str = "town.example") -> list[str]:
    """Return *count* different names of hosts."""
    return [f"{what}-{number}.{below}" for number in range(count)]


def dig_all(on: Wire, directory: Path, names: Sequence[str], *options: str, server: str = TOWN) -> None:
    """Look each name up, once with each type in turn."""
    batch = directory / f"names-{abs(hash((tuple(names), options, server)))}"
    batch.write_text("".join(f"{name} {TYPES[number % len(TYPES)]}\n" for number, name in enumerate(names)))
    on.desk.run(program("dig"), f"@{server}", "+tries=4", "+time=1", *options, "-f", batch, secs=120, check=False)


def dig(on: Wire, *words: str, server: str = TOWN) -> None:
    """Look up what *words* say."""
    on.desk.run(program("dig"), f"@{server}", "+tries=4", "+time=1", *words, check=False)


def curl(on: Wire, urls: Iterable[str], *options: str) -> None:
    """Fetch each URL, one after the other; every host has a connection of its own."""
    on.desk.run(program("curl"), "-sk", "--max-time", "20", "-o", "/dev/null", *options, *_each(urls), secs=120, check=False)


def _each(urls: Iterable[str]) -> list[str]:
    first, *others = urls
    return [first, *(word for url in others for word in ("-o", "/dev/null", url))]


def openssl(on: Wire, name: str | None, *options: str, host: str = TOWN) -> None:
    """Make one handshake, naming *name* or nobody."""
    at = f"[{host}]:443" if ":" in host else f"{host}:443"
    naming = ["-servername", name] if name else ["-noservername"]
    on.desk.run(program("openssl"), "s_client", "-connect", at, *naming, *options, check=False, secs=30)


def quic(on: Wire, version: str, names: Sequence[str], *, port: int = 443, host: str = TOWN) -> None:
    """Open a QUIC connection to each name; port 444 answers with a Retry first."""
    on.desk.run(sys.executable, QUIC_CLIENT, version, str(port), host, *names, secs=120)


PIPELINE = """
import socket, sys
host, port, name, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
with socket.create_connection((host, port), timeout=20) as to:
    asked = b"".join(b"GET /pipelined/%d?q=1 HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n" % (n, name.encode()) for n in range(count))
    to.sendall(asked + b"GET /last HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n" % name.encode())
    while to.recv(65536):
        pass
"""


def pipeline(on: Wire, name: str, count: int) -> None:
    """Send *count* requests and one more, without waiting for an answer."""
    subprocess.run(on.desk.command(sys.executable, "-c", PIPELINE, TOWN, "80", name, str(count)), check=True, timeout=60)
