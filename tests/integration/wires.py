"""Two network namespaces and the wire between them: a mirror port that the tests own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.lab import program, wait_until

CLONE_NEWNET = 0x40000000
WATCHED, FAR = "mirror0", "far0"
ADDRESSES = {WATCHED: "192.0.2.2", FAR: "192.0.2.1"}


@contextlib.contextmanager
def within(namespace: str) -> Iterator[None]:
    """Let this thread, and what it starts, live in a network namespace while the block runs."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{namespace}") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(home.fileno(), CLONE_NEWNET)


@dataclass(frozen=True)
class Wire:
    """The two ends: Sentinel watches `WATCHED` in `namespace`; traffic comes from `FAR` in `far`."""

    namespace: str
    far: str

    def plug(self) -> None:
        """Make the interfaces and bring them up."""
        ip("link", "add", FAR, "netns", self.far, "type", "veth", "peer", "name", WATCHED, "netns", self.namespace)
        for namespace, interface in ((self.namespace, WATCHED), (self.far, FAR)):
            ip("-n", namespace, "address", "add", f"{ADDRESSES[interface]}/24", "dev", interface)
            self.up(interface)
        wait_until(self.carries, "the wire carries")

    def unplug(self) -> None:
        """Remove both interfaces."""
        ip("-n", self.far, "link", "delete", FAR)

    def up(self, interface: str = WATCHED) -> None:
        """Bring an interface up."""
        ip("-n", self._home(interface), "link", "set", interface, "up")

    def down(self, interface: str = WATCHED) -> None:
        """Take an interface down."""
        ip("-n", self._home(interface), "link", "set", interface, "down")

    def carries(self) -> bool:
        """Whether the watched end has a carrier."""
        return "LOWER_UP" in ip("-n", self.namespace, "link", "show", WATCHED)

    def send(self, frames: Sequence[bytes], *, interface: str = FAR) -> None:
        """Send frames as they are."""
        with within(self._home(interface)), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((interface, 0))
            for frame in frames:
                while True:
                    try:
                        raw.send(frame)
                        break
                    except OSError as error:
                        if error.errno != 105:  # ENOBUFS: the queue is full for the moment
                            raise
                        time.sleep(0.001)

    def _home(self, interface: str) -> str:
        return self.namespace if interface == WATCHED else self.far


def ip(*words: str) -> str:
    """Run the program of that name."""
    return subprocess.run([program("ip"), *words], check=True, capture_output=True, text=True, timeout=30).stdout


@contextlib.contextmanager
def wire() -> Iterator[Wire]:
    """Make two namespaces with a wire between them; skip the test where that is not permitted."""
    made = Wire(f"sentinel-{os.getpid()}-a", f"sentinel-{os.getpid()}-b")
    if os.geteuid() != 0 or subprocess.run([program("ip"), "netns", "add", made.namespace], capture_output=True).returncode:
        pytest.skip("network namespaces (ip netns) are not permitted here")
    try:
        ip("netns", "add", made.far)
        for namespace in (made.namespace, made.far):
            with within(namespace):  # the system's own chatter would be counted with the traffic
                for scope in ("all", "default"):
                    Path(f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6").write_text("1")
            ip("-n", namespace, "link", "set", "lo", "up")
        made.plug()
        yield made
    finally:
        for namespace in (made.namespace, made.far):
            subprocess.run([program("ip"), "netns", "delete", namespace], capture_output=True)
