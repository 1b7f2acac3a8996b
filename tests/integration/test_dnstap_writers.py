"""dnstap from real writers: BIND and Unbound over a Unix socket, dnsdist over TCP; each look-up is judged, of whom it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import lab
from tests.integration.daemon import opened_store, running, write_config

CLIENT = "127.0.3.7"


@contextlib.contextmanager
def bind(directory: Path, tap: str) -> Iterator[lab.Resolver]:
    """Run BIND with dnstap."""
    directory.mkdir()
    port = lab.free_port()
    (directory / "service.zone").write_text(
        "$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n@ A 127.0.0.1\n"
    )
    (directory / "named.conf").write_text(
        f"""options {{
            directory "{directory}"; pid-file "pid"; session-keyfile "session.key"; lock-file none;
            listen-on port {port} {{ {lab.LOCALHOST}; }}; listen-on-v6 {{ none; }};
            recursion yes; allow-recursion {{ any; }}; dnssec-validation no; notify no;
            dnstap {{ client; auth; resolver; }}; dnstap-output unix "{tap}"; dnstap-identity "ns1";
        }};
        controls {{ }};
        zone "pimeyes.com" {{ type primary; file "service.zone"; }};
        """
    )
    command = [lab.unconfined("named", directory), "-f", "-c", directory / "named.conf"]
    with lab.running(command, directory, lambda: lab.listens(port)):
        yield lab.Resolver(port, directory / "none")


@contextlib.contextmanager
def unbound(directory: Path, tap: str) -> Iterator[lab.Resolver]:
    """Run Unbound with dnstap."""
    options = [
        "dnstap:",
        "dnstap-enable: yes",
        f'dnstap-socket-path: "{tap}"',
        "dnstap-bidirectional: yes",
        "dnstap-send-identity: yes",
        'dnstap-identity: "ns1"',
        "dnstap-log-client-query-messages: yes",
        "dnstap-log-client-response-messages: yes",
        "server:",
    ]
    with lab.unbound(directory, ["pimeyes.com"], options=options) as resolver:
        yield resolver


@contextlib.contextmanager
def dnsdist(directory: Path, tap: str) -> Iterator[lab.Resolver]:
    """Run dnsdist with dnstap, before an Unbound of its own."""
    port = lab.free_port()
    directory.mkdir()
    with lab.unbound(directory / "behind", ["pimeyes.com"]) as behind:
        (directory / "dnsdist.conf").write_text(
            f'setLocal("{lab.LOCALHOST}:{port}")\nsetACL("127.0.0.0/8")\n'
            f'newServer({{address="{lab.LOCALHOST}:{behind.port}", healthCheckMode="up"}})\n'
            f'tap = newFrameStreamTcpLogger("{tap}", {{flushTimeout=1}})\n'
            'addAction(AllRule(), DnstapLogAction("ns1", tap))\n'
            'addResponseAction(AllRule(), DnstapLogResponseAction("ns1", tap))\n'
        )
        command = [lab.unconfined("dnsdist", directory), "--supervised", "--disable-syslog", "-C", directory / "dnsdist.conf"]
        with lab.running(command, directory, lambda: lab.listens(port)):
            yield lab.Resolver(port, directory / "none")


@pytest.mark.parametrize("writer", [bind, unbound, dnsdist], ids=["bind", "unbound", "dnsdist"])
def test_a_look_up_that_a_resolver_tells_by_dnstap_is_judged(tmp_path, writer):
    """The client is who asked, never the resolver; the question and its answer both say so."""
    over_tcp = writer is dnsdist
    port, path = lab.free_port(), tmp_path / "dnstap.sock"
    where = {"transport": "tcp", "port": port} if over_tcp else {"path": str(path)}
    with running(write_config(tmp_path, [{"type": "dnstap", **where}], [])) as daemon:
        lab.wait_until(lambda: '"listening"' in daemon.log(), "it listens")
        with writer(tmp_path / "writer", f"{lab.LOCALHOST}:{port}" if over_tcp else str(path)) as resolver:

            def told() -> set[str]:
                resolver.ask("PimEyes.com", client=CLIENT)  # until the writer has found us: what was asked before is not told
                with opened_store(tmp_path) as store:
                    return {one.observation.kind for one in store.each_finding()}

            lab.wait_until(lambda: told() >= {"dns_query", "dns_answer"}, "question and answer are judged", secs=60)
        assert daemon.stop() == 0
    with opened_store(tmp_path) as store:
        found = store.findings()
    assert {one.observation.client for one in found} == {CLIENT}
    assert {one.observation.name for one in found} == {"pimeyes.com"}
    assert {one.parser for one in found} == {"dnstap/1"}
    assert {str(one.stage.word) for one in found} == {"lookup"}
