"""A desk and a town, joined by a wire of our own: two network namespaces, what goes wrong between them, and a capture of it.

Clients run on the desk, servers in the town, and the capture is taken where the wire reaches the town: what was lost,
overtaken, sent twice or cut into fragments on the way is so in the capture. A namespace lives as long as the process that
holds it, so that nothing is left behind even by a run that was killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from tests.integration.lab import PATH, end, program, wait_until

DESK, TOWN = "10.77.0.2", "10.77.0.1"
ELSEWHERE = "10.77.0.3"
"""Another address of the town, for a name whose connections a browser must not share with its neighbours'."""
DESK6, TOWN6 = "fd77::2", "fd77::1"
RELAY = Path(__file__).with_name("relay.py")
INTERFACE = "wire"
LAST = "end-of-capture.example"
"""Looked up when all is done: once the capture holds it, it holds everything before it."""

Writer = Literal["tcpdump", "dumpcap"]


@dataclass(frozen=True)
class Faults:
    """What the relay does to packets: shares of them, and the largest IPv4 packet it does not cut into fragments."""

    lost: float = 0.0
    late: float = 0.0
    twice: float = 0.0
    largest: int | None = None
    seed: int = 1


@dataclass(frozen=True)
class Namespace:
    """A network and mount namespace, by the process that holds it."""

    pid: int

    def command(self, *command: str | Path) -> list[str]:
        """Return what runs *command* in this namespace."""
        return [program("nsenter"), "--target", str(self.pid), "--net", "--mount", "--", *map(str, command)]

    def run(self, *command: str | Path, secs: float = 30, check: bool = True) -> str:
        """Run *command* here and return what it printed."""
        environment = os.environ | {"PATH": PATH}
        done = subprocess.run(
            self.command(*command), capture_output=True, text=True, errors="replace", timeout=secs, env=environment,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if check and done.returncode:
            pytest.fail(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr[-1000:]}")
        return done.stdout


@dataclass(frozen=True)
class Wire:
    """The two ends."""

    desk: Namespace
    town: Namespace

    def sit_down(self, address: str) -> None:
        """Let the desk be another one: what it opens from now on comes from *address*."""
        ip = program("ip")
        self.desk.run(ip, "addr", "replace", f"{address}/24", "dev", INTERFACE)
        for route in (f"{DESK.rpartition('.')[0]}.0/24", "default"):
            self.desk.run(ip, "route", "replace", route, "dev", INTERFACE, "src", address)


@contextlib.contextmanager
def namespace() -> Iterator[Namespace]:
    """Hold a namespace of its own until the block ends."""
    if os.geteuid() != 0:
        pytest.skip("only root may make network namespaces")
    # Without the signal, a run that is killed would leave the holder, and with it the namespace, for ever.
    command = [program("setpriv"), "--pdeathsig", "KILL", program("unshare"), "--net", "--mount", "sleep", "infinity"]
    holder = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    own = os.readlink("/proc/self/ns/net")
    try:
        wait_until(lambda: holder.poll() is not None or _net_of(holder.pid) not in (None, own), "a network namespace")
        if holder.poll() is not None:
            assert holder.stderr is not None
            pytest.skip(f"no network namespaces here: {holder.stderr.read().strip()}")
        wait_until(lambda: Path(f"/proc/{holder.pid}/comm").read_text().strip() == "sleep", "the namespace's holder")
        yield Namespace(holder.pid)
    finally:
        holder.kill()
        holder.wait()
        if holder.stderr is not None:
            holder.stderr.close()


def _net_of(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


@contextlib.contextmanager
def wire(directory: Path, *, faults: Faults | None = None, mtu: int = 1500) -> Iterator[Wire]:
    """Join a desk and a town, by a cable or, with *faults*, by a relay that makes them.

    *mtu* is that of the town's end: what the town sends and is larger leaves it in fragments.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        desk, town = stack.enter_context(namespace()), stack.enter_context(namespace())
        ip = program("ip")
        if faults is None:
            ends = [ip, "link", "add", INTERFACE, "netns", str(desk.pid), "type", "veth"]
            subprocess.run([*ends, "peer", "name", INTERFACE, "netns", str(town.pid)], check=True)
        else:
            stack.enter_context(_relay(directory, desk, town, faults))
        for place, address, address6 in ((desk, DESK, DESK6), (town, TOWN, TOWN6)):
            place.run(ip, "link", "set", "lo", "up")
            place.run(ip, "addr", "add", f"{address}/24", "dev", INTERFACE)
            place.run(ip, "addr", "add", f"{address6}/64", "dev", INTERFACE, "nodad")
            if place is town:
                place.run(ip, "addr", "add", f"{ELSEWHERE}/24", "dev", INTERFACE)
            place.run(ip, "link", "set", INTERFACE, "up", "mtu", str(mtu if place is town else 1500))
            place.run(ip, "route", "add", "default", "dev", INTERFACE)
        (directory / "resolv.conf").write_text(f"nameserver {TOWN}\noptions timeout:2 attempts:4\n")
        desk.run("mount", "--bind", directory / "resolv.conf", "/etc/resolv.conf")
        yield Wire(desk, town)


@contextlib.contextmanager
def _relay(directory: Path, desk: Namespace, town: Namespace, faults: Faults) -> Iterator[None]:
    if not Path("/dev/net/tun").exists():
        pytest.skip("the kernel has no tun devices, which the relay is made of")
    settings = json.dumps(vars(faults) | {"desk": desk.pid, "town": town.pid, "interface": INTERFACE})
    with (directory / "relay").open("wb") as output:
        command = [sys.executable, str(RELAY), settings]
        relay = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=output, start_new_session=True)
    try:
        assert relay.stdout is not None
        ready = relay.stdout.readline()
        if ready != b"ready\n":
            pytest.fail(f"the relay did not start: {(directory / 'relay').read_text()[-1000:]}")
        yield
    finally:
        end(relay)
        if relay.stdout is not None:
            relay.stdout.close()


@contextlib.contextmanager
def captured(on: Wire, path: Path, writer: Writer = "tcpdump") -> Iterator[None]:
    """Capture what passes the town's end of the wire, and let the file be whole when the block ends.

    tcpdump writes pcap, dumpcap pcapng.
    """
    if writer == "tcpdump":
        command = [
            program("tcpdump"),
            "-i",
            INTERFACE,
            "-w",
            path,
            "-s",
            "0",
            "-U",
            "--immediate-mode",
            "-Z",
            "root",
            "-B",
            "65536",
        ]
    else:
        command = [program("dumpcap"), "-i", INTERFACE, "-w", path, "-q", "-B", "64"]
    output = path.with_suffix(".writer")
    with output.open("wb") as sink:
        process = subprocess.Popen(
            on.town.command(*command), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
        )
    try:
        wait_until(lambda: process.poll() is not None or _writes(on.town, path), f"{writer} captures")
        if process.poll() is not None:
            pytest.fail(f"{writer} ended: {output.read_text()[-1000:]}")
        yield
        wait_until(lambda: _last_is_in(on, path), "the capture holds all that was sent")
    finally:
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        end(process)


def _writes(town: Namespace, path: Path) -> bool:
    """Whether the packet socket is open: the file alone may be there before it."""
    sockets = Path(f"/proc/{town.pid}/net/packet").read_text().splitlines()
    return len(sockets) > 1 and path.exists()


def _last_is_in(on: Wire, path: Path) -> bool:
    on.desk.run(program("dig"), f"@{TOWN}", "+tries=1", "+time=1", LAST, check=False)
    time.sleep(0.1)
    wanted = b"\x0eend-of-capture\x07example"
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 200_000))
        return wanted in file.read()


def start(place: Namespace, command: Sequence[str | Path], output: Path) -> subprocess.Popen[bytes]:
    """Start a program in a namespace; what it prints goes to *output*."""
    with output.open("ab") as sink:
        return subprocess.Popen(
            place.command(*command), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True,
            env=os.environ | {"PATH": PATH},
        )  # fmt: skip
