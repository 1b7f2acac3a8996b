"""Real servers that say who had an address: DHCP, RADIUS and a VPN, each from a configuration of the test's own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import lab
from tests.oracle.wire import INTERFACE, TOWN, Namespace, Wire, start

POOL = "10.77.0.100", "10.77.0.120"


@contextlib.contextmanager
def in_town(wire: Wire, command: list[str | Path], directory: Path, ready: str) -> Iterator[None]:
    """Run a server in the town until the block ends; it is ready when it has said *ready*."""
    output = directory / "output"
    process = start(wire.town, command, output)
    try:
        lab.wait_until(
            lambda: process.poll() is not None or ready in output.read_text(errors="replace"), f"{command[0]} is ready"
        )
        assert process.poll() is None, output.read_text(errors="replace")[-2000:]
        yield
    finally:
        lab.end(process)


@contextlib.contextmanager
def dhcpd(wire: Wire, directory: Path) -> Iterator[Path]:
    """Run ISC's dhcpd; yield its lease file."""
    directory.mkdir()
    leases = directory / "dhcpd.leases"
    leases.touch()
    (directory / "dhcpd.conf").write_text(
        f"default-lease-time 600; max-lease-time 600; authoritative;\n"
        f"subnet 10.77.0.0 netmask 255.255.255.0 {{ range {POOL[0]} {POOL[1]}; }}\n"
    )
    command: list[str | Path] = [
        lab.unconfined("dhcpd", directory), "-4", "-f", "-d", "--no-pid",
        "-cf", directory / "dhcpd.conf", "-lf", leases, "-user", "root", "-group", "root", INTERFACE,
    ]  # fmt: skip
    with in_town(wire, command, directory, "Server starting service"):
        yield leases


@contextlib.contextmanager
def kea(wire: Wire, directory: Path) -> Iterator[tuple[Path, Path]]:
    """Run Kea's DHCPv4 server; yield its lease file and its log."""
    directory.mkdir()
    leases, log = directory / "kea-leases4.csv", directory / "kea-dhcp4.log"
    settings = {
        "interfaces-config": {"interfaces": [INTERFACE]},
        "valid-lifetime": 600,
        "lease-database": {"type": "memfile", "name": str(leases), "lfc-interval": 0},
        "subnet4": [{"subnet": "10.77.0.0/24", "pools": [{"pool": " - ".join(POOL)}]}],
        "loggers": [
            {
                "name": "kea-dhcp4",
                "severity": "INFO",
                "output_options": [{"output": str(log), "flush": True}, {"output": "stdout", "flush": True}],
            }
        ],
    }
    (directory / "kea.conf").write_text(json.dumps({"Dhcp4": settings}))
    places = [f"KEA_PIDFILE_DIR={directory}", "KEA_LOCKFILE_DIR=none", f"TZ={lab.POSIX_ZONE}"]
    command: list[str | Path] = ["env", *places, lab.unconfined("kea-dhcp4", directory), "-c", directory / "kea.conf"]
    with in_town(wire, command, directory, "DHCP4_STARTED"):
        yield leases, log


def ask_for_an_address(desk: Namespace, directory: Path, name: str) -> None:
    """Let the desk ask for an address by DHCP, naming itself; it does not put it on."""
    directory.mkdir(exist_ok=True)
    (directory / "dhclient.conf").write_text(f'send host-name "{name}";\n')
    true = shutil.which("true") or "/bin/true"
    desk.run(
        lab.unconfined("dhclient", directory), "-4", "-1", "-sf", true, "-cf", directory / "dhclient.conf",
        "-lf", directory / f"{name}.leases", "-pf", directory / f"{name}.pid", INTERFACE, secs=60,
    )  # fmt: skip
    pid = directory / f"{name}.pid"
    if pid.exists():  # it stays to renew; that is not asked of it
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(pid.read_text()), 9)


@contextlib.contextmanager
def freeradius() -> Iterator[tuple[int, Path]]:
    """Run FreeRADIUS as an accounting server on loopback; yield its port and its detail file."""
    directory = Path(tempfile.mkdtemp(prefix="sentinel-radius-"))
    port, detail = lab.free_port(), directory / "detail"
    (directory / "radiusd.conf").write_text(
        f"""prefix = /usr
        logdir = {directory}
        raddbdir = {directory}
        run_dir = {directory}
        libdir = /usr/lib/freeradius
        log {{
            destination = stdout
        }}
        security {{
            allow_core_dumps = no
        }}
        thread pool {{
        }}
        modules {{
            detail {{
                filename = "{detail}"
                permissions = 0600
                header = "%t"
            }}
        }}
        client localhost {{
            ipaddr = {lab.LOCALHOST}
            secret = testing123
        }}
        server default {{
            listen {{
                type = acct
                ipaddr = {lab.LOCALHOST}
                port = {port}
            }}
            accounting {{
                detail
            }}
        }}
        """
    )
    output = directory / "output"
    try:
        command = [
            lab.unconfined("freeradius", directory),
            "-f",
            "-l",
            "stdout",
            "-d",
            directory,
            "-n",
            "radiusd",
            "-D",
            "/usr/share/freeradius",
        ]
        with lab.running(command, directory, lambda: "Ready to process requests" in output.read_text(errors="replace")):
            yield port, detail
    finally:
        shutil.rmtree(directory)


def account(port: int, *attributes: str) -> None:
    """Send one accounting record, and wait for the answer."""
    subprocess.run(
        [lab.program("radclient"), "-q", "-r", "3", "-t", "10", f"{lab.LOCALHOST}:{port}", "acct", "testing123"],
        input="\n".join(attributes) + "\n",
        text=True,
        check=True,
        timeout=60,
        capture_output=True,
    )


def whole(status: Path) -> str | None:
    """Return a status file that tells of a client, None while there is none or it is just being written."""
    text = status.read_text() if status.exists() else ""
    return text if "10.8.0." in text and text.endswith("END\n") else None


@contextlib.contextmanager
def openvpn(wire: Wire, directory: Path) -> Iterator[tuple[Path, Path]]:
    """Run an OpenVPN server in the town and a client on the desk, which leaves; yield a status of meanwhile and the log."""
    directory.mkdir()
    if not Path("/dev/net/tun").exists():
        pytest.skip("the kernel has no tun devices")
    keys = lab.certificate(directory, [])
    status, log = directory / "status.log", directory / "server.log"
    trust: list[str | Path] = ["--ca", keys.certificate, "--cert", keys.certificate, "--key", keys.key, "--verb", "3"]
    program = lab.unconfined("openvpn", directory)
    server: list[str | Path] = [
        "env",
        f"TZ={lab.POSIX_ZONE}",
        program,
        "--dev",
        "tun9",
        "--server",
        "10.8.0.0",
        "255.255.255.0",
    ]
    server += ["--topology", "subnet", "--proto", "udp", "--local", TOWN, "--port", "1194", "--dh", "none", *trust]
    server += ["--keepalive", "1", "5", "--status", status, "1", "--status-version", "2"]
    client: list[str | Path] = [program, "--client", "--dev", "tun9", "--proto", "udp", "--remote", TOWN, "1194"]
    client += ["--nobind", "--route-nopull", "--explicit-exit-notify", "1", *trust]
    theirs = directory / "client"
    theirs.mkdir()
    with in_town(wire, server, directory, "Initialization Sequence Completed"):
        process = start(wire.desk, client, theirs / "output")
        try:
            lab.wait_until(lambda: "Initialization Sequence Completed" in (theirs / "output").read_text(), "the client is in")
            told = lab.wait_until(lambda: whole(status), "the status file tells of it")
            (directory / "meanwhile.log").write_text(told)
        finally:
            lab.end(process)
        lab.wait_until(lambda: "client-instance exiting" in (directory / "output").read_text(), "the server saw it leave")
        (directory / "output").replace(log)
        yield directory / "meanwhile.log", log
