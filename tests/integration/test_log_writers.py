"""What further real programs write, read back by the formats that claim to read them: who, what, when, with what outcome."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sentinel.formats import named
from sentinel.formats.clock import StreamClock
from sentinel.formats.detect import detect
from sentinel.formats.format import Malformed
from sentinel.formats.reader import Reader
from sentinel.observation import Observation
from tests.integration import lab, writers

NAMES = ["clearview.ai", "app.clearview.ai", "pimeyes.com"]
CLIENT = "127.0.0.7"
SECOND = timedelta(seconds=1)  # what a log that writes whole seconds cuts off


def observations(log: Path, name: str, *, told: bool = True) -> list[Observation]:
    """Read a whole log the way a source does, in the lab's zone; *told*: the format is told from the records."""
    records = [record for record in log.read_bytes().splitlines() if record]
    if told:
        assert [found.name for found, _ in detect(records)][:1] == [name]
    reader = Reader(named(name), StreamClock(ZoneInfo(lab.ZONE), datetime.fromtimestamp(log.stat().st_mtime, UTC)))
    seen = []
    for record in records:
        try:
            seen += reader.parse(record)
        except Malformed:
            continue  # what the programs say beside it, when they start
    return seen


def test_powerdns_recursor(tmp_path):
    """Questions with their client, in local time."""
    with writers.powerdns(tmp_path / "pdns", NAMES) as resolver:
        before = datetime.now(UTC)
        resolver.ask("App.ClearView.ai", client=CLIENT)
        resolver.ask("pimeyes.com", kind="AAAA", options=["+tcp"])
        lab.wait_until(lambda: "pimeyes.com" in resolver.log.read_text(), "the log has the last query")
        after = datetime.now(UTC)
        seen = [one for one in observations(resolver.log, "powerdns-recursor", told=False) if one.kind == "dns_query"]
    assert [(one.client, one.name, one.query_type) for one in seen] == [
        (CLIENT, "app.clearview.ai", "A"),
        (lab.LOCALHOST, "pimeyes.com", "AAAA"),
    ]
    assert all(before - SECOND <= one.time <= after for one in seen)


MINE = '%tl|%>a|%>p|%un|%rm|%ru|%>Hs|%>st|%<st|"%{User-Agent}>h"|%Ss'
HOSTILE = 'a" chief "127.9.9.9|chief'
"""A user agent that tries to end its own column."""


def test_squid_by_four_logformats(tmp_path):
    """One access, four logs: each says the same of it, whatever the client calls itself."""
    with writers.folder("proxy") as logs, lab.website(tmp_path / "site", NAMES) as (http, https):
        forms = {"squid": "squid-native", "common": "squid-common", "combined": "squid-combined", "mine": f"squid:{MINE}"}
        options = [f"logformat mine {MINE}", *(f"access_log stdio:{logs}/{form}.log {form}" for form in forms)]
        with lab.squid(NAMES, blocked=["facecheck.id"], options=options) as proxy:
            before = datetime.now(UTC)
            for url in (f"http://app.clearview.ai:{http}/x?y=z", f"https://pimeyes.com:{https}/", "http://facecheck.id/"):
                proxy.get(url, client=CLIENT, options=["--user-agent", HOSTILE])
            written = [proxy.log, *(logs / f"{form}.log" for form in forms)]
            lab.wait_until(lambda: all(log.read_text().count("\n") >= 3 for log in written), "the logs have the last access")
            after = datetime.now(UTC)
        for form, name in forms.items():
            seen = observations(logs / f"{form}.log", name, told=not name.startswith("squid:"))
            assert [(one.kind, one.client, one.name, one.action, one.user) for one in seen] == [
                ("http_request", CLIENT, "app.clearview.ai", "allowed", None),
                ("proxy_connect", CLIENT, "pimeyes.com", "allowed", None),
                ("http_request", CLIENT, "facecheck.id", "blocked", None),
            ], form
            assert all(before - SECOND <= one.time <= after for one in seen), form


APACHE = {
    "common": '%h %l %u %t \\"%r\\" %>s %b',
    "combined": '%h %l %u %t \\"%r\\" %>s %b \\"%{Referer}i\\" \\"%{User-Agent}i\\"',
    "combinedio": '%h %l %u %t \\"%r\\" %>s %b \\"%{Referer}i\\" \\"%{User-Agent}i\\" %I %O',
}


def test_apache_as_a_forward_proxy(tmp_path):
    """A wrong password names a user who is only claimed; the right one is an access of that user's."""
    with lab.website(tmp_path / "site", NAMES) as (http, https), lab.squid(NAMES) as beyond:
        with (
            writers.folder("www-data") as directory,
            writers.apache(directory, beyond.port, APACHE, ("jdoe", "right")) as (port, logs),
        ):
            proxy = lab.Proxy(port, logs["combinedio"])
            before = datetime.now(UTC)
            proxy.get(f"http://app.clearview.ai:{http}/x?y=z", client=CLIENT, options=["--proxy-user", "jdoe:wrong"])
            proxy.get(
                f"http://app.clearview.ai:{http}/x?y=z", client=CLIENT, options=["--proxy-user", "jdoe:right", "-A", HOSTILE]
            )
            proxy.get(f"https://pimeyes.com:{https}/", client=CLIENT, options=["--proxy-user", "jdoe:right"])
            lab.wait_until(
                lambda: all(log.read_text().count("\n") >= 3 for log in logs.values()), "the logs have the last access"
            )
            after = datetime.now(UTC)
            for form, log in logs.items():
                seen = observations(log, "access-log")
                assert [(one.kind, one.client, one.name, one.user, one.claimed_user, one.action) for one in seen] == [
                    ("http_request", CLIENT, "app.clearview.ai", None, "jdoe", "challenged"),
                    ("http_request", CLIENT, "app.clearview.ai", "jdoe", None, None),
                    ("proxy_connect", CLIENT, "pimeyes.com", "jdoe", None, "allowed"),
                ], form
                assert all(before - SECOND <= one.time <= after for one in seen), form
                assert (seen[1].bytes_up is not None) == (form == "combinedio")


def test_haproxy(tmp_path):
    """By the captured Host, by the handshake's name, and by both; a refusal is no visit."""
    with lab.website(tmp_path / "site", NAMES) as site, writers.haproxy(tmp_path / "haproxy", site) as balancer:
        before = datetime.now(UTC)
        urls = [
            f"http://app.clearview.ai:{balancer.ports['http']}/x?y=z",
            f"http://blocked.pimeyes.com:{balancer.ports['http']}/",
            f"https://pimeyes.com:{balancer.ports['https']}/y",
            f"https://pimeyes.com:{balancer.ports['tcp']}/",
        ]
        for url in urls:
            host = url.split("/")[2]
            command = [lab.program("curl"), "-sk", "--noproxy", "*", "--interface", CLIENT, "--max-time", "20", "-A", HOSTILE]
            resolved = ["--resolve", f"{host}:{lab.LOCALHOST}"]
            subprocess.run([*command, *resolved, "-o", tmp_path / "page", url], check=False, timeout=60)
        lab.wait_until(lambda: "sni=pimeyes.com" in balancer.log.read_text(), "the log has the last access")
        after = datetime.now(UTC)
        seen = [one for one in observations(balancer.log, "haproxy", told=False) if one.client == CLIENT]
    assert [(one.kind, one.name, one.path, one.action) for one in seen] == [
        ("http_request", "app.clearview.ai", "/x", "allowed"),
        ("http_request", "blocked.pimeyes.com", "/", "blocked"),
        ("http_request", "pimeyes.com", "/y", "allowed"),
        ("tls_client_hello", "pimeyes.com", None, "allowed"),
    ]
    assert all(before - SECOND <= one.time <= after for one in seen)


def test_postfix():
    """Each mailbox that got the mail, and the one that was refused; what a subject says of a sender is not believed."""
    with writers.postfix("corp.example", "carol@corp.example") as server:
        before = datetime.now(UTC)
        boxes = ["alice@corp.example", "bob@corp.example", "carol@corp.example"]
        server.take("login@pimeyes.com", boxes, "Your code: from=<boss@corp.example>, size=1")
        server.take(
            "boss@corp.example", ["dave@corp.example"], "ABCDEF01234: from=<login@clearview.ai>, size=1, nrcpt=1 (queue active)"
        )
        lab.wait_until(lambda: server.log.read_text().count(": removed") == 2, "both mails are delivered")
        after = datetime.now(UTC)
        seen = observations(server.log, "postfix")
    assert sorted((one.user, one.name, one.action) for one in seen) == [
        ("alice@corp.example", "pimeyes.com", "allowed"),
        ("bob@corp.example", "pimeyes.com", "allowed"),
        ("carol@corp.example", "pimeyes.com", "blocked"),
        ("dave@corp.example", "corp.example", "allowed"),
    ]
    assert all(one.kind == "mail" and before - SECOND <= one.time <= after for one in seen)
