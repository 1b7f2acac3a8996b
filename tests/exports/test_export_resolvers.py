"""The zone, the hosts file and dnsmasq's file in the resolvers themselves: they block what Sentinel would have found."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sentinel.signatures.exports.entry import entries
from tests.exports import cases
from tests.integration.lab import LOCALHOST, free_port, listens, program, running, unconfined, wait_until

pytestmark = pytest.mark.integration

NAMES = [name for name in cases.names() if not name.endswith((".onion", ".arpa"))]
"""The names without those that every resolver denies on its own (RFC 7686, RFC 6303)."""

EVERY_NAME = "$TTL 60\n@ SOA ns.here. root.here. 1 60 60 60 60\n@ NS ns.here.\n* A 127.0.0.1\n* AAAA ::1\n"
"""A root zone that has every name, so that what is not blocked gets an answer without asking the Internet."""


@contextlib.contextmanager
def bind(folder: Path, zone: str) -> Iterator[int]:
    """Run BIND's named with *zone* as its policy; yield its port."""
    port = free_port()
    (folder / "sentinel.rpz").write_text(zone)
    (folder / "root.zone").write_text(EVERY_NAME)
    (folder / "named.conf").write_text(
        f"""options {{
            directory "{folder}"; pid-file "pid"; session-keyfile "session.key"; lock-file none;
            listen-on port {port} {{ {LOCALHOST}; }}; listen-on-v6 {{ none; }};
            recursion yes; dnssec-validation no; allow-query {{ any; }}; notify no;
            response-policy {{ zone "rpz.sentinel"; }};
        }};
        controls {{ }};
        zone "." {{ type primary; file "root.zone"; }};
        zone "rpz.sentinel" {{ type primary; file "sentinel.rpz"; }};
        """
    )
    command = [unconfined("named", folder), "-f", "-c", folder / "named.conf"]
    with running(command, folder, lambda: listens(port)):
        yield port


@contextlib.contextmanager
def unbound(folder: Path, zone: str) -> Iterator[int]:
    """Run Unbound with *zone* as its policy; yield its port."""
    port = free_port()
    (folder / "sentinel.rpz").write_text(zone)
    (folder / "root.zone").write_text(EVERY_NAME)
    (folder / "unbound.conf").write_text(
        f"""server:
            interface: {LOCALHOST}@{port}
            username: ""
            chroot: ""
            directory: "{folder}"
            pidfile: "{folder / "pid"}"
            use-syslog: no
            module-config: "respip iterator"
        auth-zone:
            name: "."
            zonefile: "{folder / "root.zone"}"
            for-downstream: no
        rpz:
            name: rpz.sentinel
            zonefile: "{folder / "sentinel.rpz"}"
        remote-control:
            control-enable: no
        """
    )
    command = [unconfined("unbound", folder), "-d", "-p", "-c", folder / "unbound.conf"]
    with running(command, folder, lambda: listens(port)):
        yield port


@contextlib.contextmanager
def dnsmasq(folder: Path, *lines: str) -> Iterator[int]:
    """Run dnsmasq with these further lines of configuration, answering for every name; yield its port."""
    port = free_port()
    own = [
        *("no-resolv", "no-hosts", "bind-interfaces", f"listen-address={LOCALHOST}", f"port={port}"),
        *(f"pid-file={folder / 'pid'}", f"address=/#/{LOCALHOST}", "address=/#/::1"),
        *(["user=root", "group=root"] if os.geteuid() == 0 else []),
    ]
    (folder / "dnsmasq.conf").write_text("\n".join([*own, *lines]) + "\n")
    command = [unconfined("dnsmasq", folder), "--keep-in-foreground", f"--conf-file={folder / 'dnsmasq.conf'}"]
    with running(command, folder, lambda: listens(port)):
        yield port


def asked(folder: Path, port: int, kind: str = "A") -> dict[str, tuple[str, list[str]]]:
    """Return what dig gets for each of the cases' names: the status, and the data of the answers."""
    (folder / "names").write_text("".join(f"{name}\n" for name in NAMES))
    found = {}
    for answer in dig(port, "-t", kind, "-f", str(folder / "names")).split("->>HEADER<<-")[1:]:
        status, name = re.search(r"status: (\w+)", answer), re.search(r"^;(\S+)\.\s+IN\s", answer, re.MULTILINE)
        assert status
        assert name
        found[name[1].lower()] = (status[1], re.findall(r"^[^;\s]\S*\s+\d+\s+IN\s+\S+\s+(\S+)$", answer, re.MULTILINE))
    assert found.keys() == set(NAMES)
    return found


def dig(port: int, *words: str) -> str:
    """Return the status, question and answer of each look-up."""
    command = [
        program("dig"),
        f"@{LOCALHOST}",
        "-p",
        str(port),
        "+noall",
        "+comments",
        "+question",
        "+answer",
        "+tries=3",
        "+time=30",
    ]
    return subprocess.run([*command, *words], check=True, capture_output=True, text=True, timeout=280).stdout


@pytest.mark.parametrize("resolver", [bind, unbound])
def test_the_zone_denies_the_names_that_sentinel_finds_and_no_others(tmp_path, resolver: Callable):
    """NXDOMAIN for a service's name and all below it; the look-alikes are somebody else's, and are answered."""
    with resolver(tmp_path, cases.text("rpz")) as port:
        # BIND answers before it has read its policy.
        wait_until(lambda: "NXDOMAIN" in dig(port, "pimeyes.com"), "the policy is in force")
        found = asked(tmp_path, port)
    blocked = {name for name, (status, _data) in found.items() if status == "NXDOMAIN"}
    assert blocked == cases.known("rpz", NAMES)
    assert {"app.clearview.ai", "b.c.pimeyes.com"} <= blocked
    assert {status for name, (status, _data) in found.items() if name not in blocked} == {"NOERROR"}


def test_bind_finds_nothing_to_say_of_the_zone(tmp_path):
    """named-checkzone is what an administrator runs before the zone is loaded."""
    (tmp_path / "sentinel.rpz").write_text(cases.text("rpz"))
    command = [program("named-checkzone"), "rpz.sentinel", str(tmp_path / "sentinel.rpz")]
    checked = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert checked.stdout.split() == ["zone", "rpz.sentinel/IN:", "loaded", "serial", str(int(cases.MADE.timestamp())), "OK"]


def test_dnsmasq_denies_what_its_file_names_and_no_others(tmp_path):
    """A single host gets an address that leads nowhere, since a denial would take all below it along."""
    (tmp_path / "sentinel.conf").write_text(cases.text("dnsmasq"))
    with dnsmasq(tmp_path, f"conf-file={tmp_path / 'sentinel.conf'}") as port:
        found = asked(tmp_path, port)
    assert {name for name, answer in found.items() if denied(answer)} == cases.known("dnsmasq", NAMES)


@pytest.mark.parametrize("kind", ["A", "AAAA"])
def test_a_hosts_file_sends_the_names_it_lists_nowhere_and_all_of_them_are_services(tmp_path, kind):
    """It cannot name what lies below a name; what it does name, it names for both kinds of addresses."""
    (tmp_path / "sentinel.hosts").write_text(cases.text("hosts"))
    listed = {line.split()[1] for line in cases.text("hosts").splitlines() if not line.startswith("#")}
    with dnsmasq(tmp_path, f"addn-hosts={tmp_path / 'sentinel.hosts'}") as port:
        found = asked(tmp_path, port, kind)
    blocked = {name for name, answer in found.items() if denied(answer)}
    known = cases.known("hosts", NAMES)
    assert blocked == listed & set(NAMES)
    assert blocked <= known
    indicators = {entry.name for entry in entries(cases.catalog().services.values()) if entry.kind in ("domain", "host")}
    assert known & indicators <= blocked


def denied(answer: tuple[str, list[str]]) -> bool:
    """Return whether a resolver said that there is no such name, or gave an address that leads nowhere."""
    status, data = answer
    return status == "NXDOMAIN" or any(one in ("0.0.0.0", "::") for one in data)
