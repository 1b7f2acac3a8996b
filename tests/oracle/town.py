"""The town's servers: a resolver that knows every name, the site behind all of them, and a proxy."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.integration.lab import end, unconfined, wait_until
from tests.oracle.authority import Issued, authority_of, issue
from tests.oracle.wire import ELSEWHERE, TOWN, TOWN6, Wire, start

SITE = Path(__file__).with_name("site.py")


@contextlib.contextmanager
def resolver(on: Wire, directory: Path, lines: Sequence[str] = (), *, six: bool = True) -> Iterator[None]:
    """Run dnsmasq in the town, answering its addresses for every name; *lines* are further lines of its configuration."""
    directory.mkdir()
    config = directory / "dnsmasq.conf"
    own = [
        "no-resolv", "no-hosts", "bind-interfaces", f"listen-address={TOWN},{TOWN6}", f"pid-file={directory / 'pid'}",
        "user=root", "group=root", f"address=/#/{TOWN}", *([f"address=/#/{TOWN6}"] if six else []),
    ]  # fmt: skip
    config.write_text("\n".join([*own, *lines]) + "\n")
    command = [unconfined("dnsmasq", directory), "--keep-in-foreground", f"--conf-file={config}"]
    with _running(on, command, directory / "output", [53]):
        yield


@contextlib.contextmanager
def site(
    on: Wire, directory: Path, names: Sequence[str], *, pages: Mapping[str, str] | None = None, quic: bool = True,
    alpn: Sequence[str] = ("h2", "http/1.1"),
) -> Iterator[Issued]:  # fmt: skip
    """Run the site in the town, with a certificate for *names*; port 444 of its HTTP/3 asks clients to come again (Retry)."""
    pytest.importorskip("aioquic", reason="aioquic is not installed; tests/run gets it")
    directory.mkdir()
    files = issue(directory, names)
    hosts = [TOWN, ELSEWHERE, f"[{TOWN6}]"]
    settings = {
        "certificate": str(files.certificate), "key": str(files.key), "hosts": hosts, "pages": dict(pages or {}),
        "alpn": list(alpn), "quic": quic, "old_tls": True,
    }  # fmt: skip
    (directory / "settings.json").write_text(json.dumps(settings))  # pages are longer than a command may be
    with _running(on, [sys.executable, SITE, directory / "settings.json"], directory / "output", [80, 443]):
        yield files


@contextlib.contextmanager
def proxy(on: Wire, *, keep: Path | None = None, opens: Issued | None = None) -> Iterator[None]:
    """Run Squid on port 3128 of the town, as `lab.squid` does on the loopback; its log is left at *keep*.

    It ends when the tunnels that it made are closed, for only then does it log them. With *opens* it opens TLS, certifies what
    it sends on itself, and believes the authority of the site it is given.
    """
    directory = Path(tempfile.mkdtemp(prefix="sentinel-squid-"))
    log = directory / "access.log"
    lines = [
        f"dns_nameservers {TOWN}", f"access_log stdio:{log} squid",
        f"cache_log {directory / 'cache.log'}", f"coredump_dir {directory}", f"pid_filename {directory / 'pid'}",
        "visible_hostname town", "cache deny all", "cache_mem 1 MB", "pinger_enable off", "shutdown_lifetime 0 seconds",
        "http_access allow all",
    ]  # fmt: skip
    if opens is None:
        squid, lines = unconfined("squid", directory), [f"http_port {TOWN}:3128", *lines]
    else:
        squid, opening = _opening(directory, opens)
        lines += opening
    (directory / "squid.conf").write_text("\n".join(lines) + "\n")
    for path in (directory, *directory.iterdir()):
        shutil.chown(path, "proxy")
    try:
        with _running(on, [squid, "-N", "-f", directory / "squid.conf"], directory / "output", [3128]):
            yield
            if keep is not None:
                wait_until(lambda: not _established(on, 3128), "the proxy's tunnels are closed", 120)
        if keep is not None:
            shutil.copy(log, keep)
    finally:
        shutil.rmtree(directory)


def _opening(directory: Path, site: Issued) -> tuple[str, list[str]]:
    """Return a Squid that can open TLS, and how it is told to."""
    unpacked = Path(sys.prefix) / "debian"
    certifier = unpacked / "usr/lib/squid/security_file_certgen"
    if not certifier.exists():
        pytest.skip("squid-openssl is not unpacked; tests/run gets it from Debian")
    authority = authority_of(directory)
    subprocess.run([certifier, "-c", "-s", directory / "certified", "-M", "4MB"], check=True, capture_output=True)
    for path in (directory / "certified").rglob("*"):
        shutil.chown(path, "proxy")
    options = f"ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=4MB tls-cert={authority}"
    return str(unpacked / "usr/sbin/squid"), [
        f"http_port {TOWN}:3128 {options}", f"sslcrtd_program {certifier} -s {directory / 'certified'} -M 4MB",
        f"tls_outgoing_options cafile={site.authority}", "acl first at_step SslBump1", "ssl_bump peek first",
        "ssl_bump bump all",
    ]  # fmt: skip


def _established(on: Wire, port: int) -> bool:
    return any(local == port and state == "01" for local, state in _sockets(on))


@contextlib.contextmanager
def _running(on: Wire, command: Sequence[str | Path], output: Path, ports: Sequence[int]) -> Iterator[None]:
    process = start(on.town, command, output)
    try:
        wait_until(lambda: process.poll() is not None or _listening(on) >= set(ports), f"{Path(str(command[0])).name} is ready")
        if process.poll() is not None:
            pytest.fail(f"{command[0]} ended with {process.returncode}: {output.read_text(errors='replace')[-2000:]}")
        yield
    finally:
        end(process)


def _listening(on: Wire) -> set[int]:
    """Return the TCP ports that something listens on in the town."""
    return {local for local, state in _sockets(on) if state == "0A"}


def _sockets(on: Wire) -> list[tuple[int, str]]:
    """Return the local port and the state of each TCP socket in the town, as the kernel writes it."""
    lines = Path(f"/proc/{on.town.pid}/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return [(int(local.rpartition(":")[2], 16), state) for _n, local, _remote, state, *_ in fields]
