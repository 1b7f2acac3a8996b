"""Real syslog programs that send to us: rsyslog and syslog-ng, reading a log file and forwarding its lines."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.lab import LOCALHOST, program, running, unconfined

RETRY = 'action.resumeRetryCount="-1" action.resumeInterval="1"'


@contextlib.contextmanager
def rsyslog(directory: Path, log: Path, action: str, *, extra: str = "") -> Iterator[None]:
    """Run rsyslog, sending each line of *log* by *action*, the parameters of an action such as `type="omfwd" …`."""
    directory.mkdir()
    state = directory / "state"
    state.mkdir()
    lines = [
        f'global(workDirectory="{state}" {extra})',
        'module(load="imfile" mode="polling" pollingInterval="1")',
        'module(load="omrelp")' if "omrelp" in action else "",
        f'input(type="imfile" file="{log}" tag="squid:" ruleset="send" reopenOnTruncate="on")',
        f'ruleset(name="send") {{ action({action} {RETRY}) }}',
    ]
    (directory / "rsyslog.conf").write_text("\n".join(lines) + "\n")
    command = [unconfined("rsyslogd", directory), "-n", "-f", directory / "rsyslog.conf", "-i", directory / "pid"]
    with running(command, directory, lambda: (directory / "pid").exists()):
        yield


@contextlib.contextmanager
def syslog_ng(directory: Path, log: Path, destination: str) -> Iterator[None]:
    """Run syslog-ng, sending each line of *log* to *destination*, a driver such as `network(…)`."""
    unpacked = Path(sys.prefix) / "debian"
    if not (unpacked / "usr/sbin/syslog-ng").exists():
        pytest.skip("syslog-ng is not unpacked; tests/run gets it from Debian")
    directory.mkdir()
    lines = [
        "@version: 3.38",
        "options { time-reopen(1); keep-hostname(yes); use-dns(no); };",
        f'source s {{ file("{log}" flags(no-parse) follow-freq(0.2) program-override("squid") host-override("proxy1")); }};',
        f"destination d {{ {destination}; }};",
        "log { source(s); destination(d); flags(flow-control); };",
    ]
    (directory / "syslog-ng.conf").write_text("\n".join(lines) + "\n")
    libraries = unpacked / "usr/lib/syslog-ng"
    command = [
        *("env", f"LD_LIBRARY_PATH={libraries}", unpacked / "usr/sbin/syslog-ng", "--foreground"),
        *(f"--module-path={libraries / '3.38'}", f"--cfgfile={directory / 'syslog-ng.conf'}", "--no-caps"),
        *(f"--persist-file={directory / 'persist'}", f"--control={directory / 'control'}", f"--pidfile={directory / 'pid'}"),
    ]
    with running(command, directory, lambda: (directory / "pid").exists()):
        yield


def fwd(port: int, protocol: str, **parameters: str) -> str:
    """Return the parameters of rsyslog's omfwd."""
    said = {"type": "omfwd", "target": LOCALHOST, "port": str(port), "protocol": protocol} | parameters
    return " ".join(f'{name}="{value}"' for name, value in said.items())


def relp(port: int, **parameters: str) -> str:
    """Return the parameters of rsyslog's omrelp."""
    program("rsyslogd")
    said = {"type": "omrelp", "target": LOCALHOST, "port": str(port)} | parameters
    return " ".join(f'{name}="{value}"' for name, value in said.items())
