"""`sentinel rules pack`, `verify` and `update`: what an administrator types, and the words when it is refused."""

import http.server
import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from sentinel.config.fetching import fetched
from sentinel.config.loading import load
from sentinel.config.rules import PackAt, RuleSources, load_rules
from sentinel.problems import Problems
from sentinel.signatures.pack import BadPackError, build
from sentinel.signatures.trust import private_key, public_keys
from sentinel.sinks.web import WebSettings
from tests.signatures.written import RULE

SENTINEL = Path(sys.executable).with_name("sentinel")


def sentinel(*args, **options):
    return subprocess.run([SENTINEL, *map(str, args)], capture_output=True, text=True, timeout=120, **options)


def key_files(folder, name="key"):
    key = Ed25519PrivateKey.generate()
    secret, public = folder / f"{name}.pem", folder / f"{name}.pub"
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return secret, public


def folder_of(path, *ids):
    path.mkdir(exist_ok=True)
    for one in ids:
        (path / f"{one}.yaml").write_text(RULE.format(id=one))
    return path


def packed(folder, secret, version, *ids, more=()):
    out = folder / f"{version}.pack"
    rules = folder_of(folder / f"rules{version}", *ids)
    done = sentinel("rules", "pack", out, "--key", secret, "--rules", rules, "--no-builtin", "--version", version, *more)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.integration
def test_a_pack_goes_from_one_machine_to_the_next(tmp_path):
    """Built, checked, installed, in force; a local folder adds to it and replaces by id."""
    secret, public = key_files(tmp_path)
    out = packed(tmp_path, secret, 5, "aaa", "bbb", "ccc")
    shown = sentinel("rules", "verify", out, "--key", public)
    assert (shown.returncode, "version 5, 3 services" in shown.stdout) == (0, True)
    target = tmp_path / "in" / "force.pack"
    done = sentinel("rules", "update", out, "--key", public, "--into", target, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    pack = PackAt(target, [public])
    assert sorted(RuleSources(pack=pack).load().services) == ["aaa", "bbb", "ccc"]
    mine = folder_of(tmp_path / "mine", "ddd")
    (mine / "aaa.yaml").write_text(RULE.format(id="aaa").replace("severity: high", "severity: low"))
    catalog = RuleSources([mine], pack=pack).load()
    assert sorted(catalog.services) == ["aaa", "bbb", "ccc", "ddd"]
    assert catalog.services["aaa"].severity == "low"


def test_without_a_pack_the_built_in_catalog_is_in_force(tmp_path):
    """Between writing the settings and the first update nobody must be blind."""
    _secret, public = key_files(tmp_path)
    assert RuleSources(pack=PackAt(tmp_path / "none.pack", [public])).load().digest == load_rules([]).digest


def test_a_pack_in_force_that_was_changed_does_not_load(tmp_path):
    """It is checked whenever it is read, not only when it is installed."""
    secret, public = key_files(tmp_path)
    out = packed(tmp_path, secret, 1, "aaa")
    data = bytearray(out.read_bytes())
    data[len(data) // 2] ^= 1
    out.write_bytes(data)
    with pytest.raises(Problems, match=r"the pack .*\n.*rules update"):
        RuleSources(pack=PackAt(out, [public])).load()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("words", "make"),
    [
        ("not signed by a key that is trusted", lambda folder, other: packed(folder, other, 9, "aaa")),
        ("no ZIP archive", lambda folder, other: Path(__file__)),
        ("is not there", lambda folder, other: folder_of(folder / "empty")),
    ],
)
def test_what_may_not_be_installed_is_refused_in_words(tmp_path, words, make):
    """Exit status 1, the reason, and nothing changed."""
    _secret, public = key_files(tmp_path)
    other, _public = key_files(tmp_path, "other")
    target = tmp_path / "force.pack"
    done = sentinel("rules", "update", make(tmp_path, other), "--key", public, "--into", target, "--yes")
    assert (done.returncode, words in done.stderr, target.exists()) == (1, True, False)


def test_rules_whose_cases_fail_are_neither_packed_nor_installed(tmp_path):
    """What does not load has no business in a pack."""
    secret, _public = key_files(tmp_path)
    rules = folder_of(tmp_path / "rules", "aaa")
    (rules / "aaa.yaml").write_text(RULE.format(id="aaa").replace("dns: aaa.example", "dns: bbb.example"))
    done = sentinel("rules", "pack", tmp_path / "x.pack", "--key", secret, "--rules", rules, "--no-builtin")
    assert (done.returncode, "does not match" in done.stderr, (tmp_path / "x.pack").exists()) == (78, True, False)


@pytest.mark.integration
def test_a_pack_that_shrinks_the_catalog_by_more_than_a_third_asks(tmp_path):
    """Somebody packed the wrong folder, or wants something forgotten. Not at a terminal it needs --yes."""
    secret, public = key_files(tmp_path)
    target = tmp_path / "force.pack"
    first = packed(tmp_path, secret, 1, "aaa", "bbb", "ccc")
    assert sentinel("rules", "update", first, "--key", public, "--into", target, "--yes").returncode == 0
    third = packed(tmp_path, secret, 2, "aaa", "bbb")
    assert sentinel("rules", "update", third, "--key", public, "--into", target).returncode == 0, "exactly a third"
    half = packed(tmp_path, secret, 3, "aaa")
    before = target.read_bytes()
    done = sentinel("rules", "update", half, "--key", public, "--into", target, stdin=subprocess.DEVNULL)
    assert (done.returncode, target.read_bytes() == before) == (1, True)
    assert "1 of 2 services and 1 of 2 indicators would go: bbb" in done.stderr
    assert "--yes" in done.stderr
    assert sentinel("rules", "update", half, "--key", public, "--into", target, "--yes").returncode == 0


@pytest.mark.integration
def test_an_update_reads_where_and_whom_to_trust_from_the_settings(tmp_path):
    """One line in a timer; the daemon reads the same file. A folder is a mirror: its newest good pack is taken."""
    secret, public = key_files(tmp_path)
    other, _ = key_files(tmp_path, "other")
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    for number, key in ((1, secret), (2, secret), (3, other)):
        packed(tmp_path, key, number, "aaa", "bbb").rename(mirror / f"{number}.pack")
    (tmp_path / "a.log").touch()
    settings = {"sources": [{"type": "file", "path": "a.log"}], "rules_pack": {"path": "force.pack", "keys": [public.name]}}
    config = tmp_path / "sentinel.yaml"
    config.write_text(json.dumps(settings))
    done = sentinel("rules", "update", mirror, "-c", config, "--yes")
    assert (done.returncode, "version 2" in done.stdout) == (0, True), done.stderr
    log = tmp_path / "access.log"
    log.write_text("1795411169.935 3 10.0.0.1 TCP_MISS/200 374 GET https://aaa.example/ - HIER_DIRECT/192.0.2.9 text/html\n")
    found = json.loads(sentinel("replay", "logs", log, "-c", config, "--json").stdout)
    assert [session["service"] for session in found["sessions"]] == ["aaa"]


@pytest.mark.integration
def test_an_installed_pack_that_expired_serves_on_with_a_warning(tmp_path):
    """No rules would be worse; nobody should find out by a service that was missed."""
    secret, public = key_files(tmp_path)
    folder_of(tmp_path / "rules", "aaa")
    now = datetime.now(UTC)
    documents = {"aaa.yaml": (tmp_path / "rules" / "aaa.yaml").read_bytes()}
    data = build(documents, private_key(secret), name="r", version=1, created=now, expires=now - timedelta(days=1))
    (tmp_path / "force.pack").write_bytes(data)
    (tmp_path / "a.log").touch()
    config = tmp_path / "sentinel.yaml"
    settings = {"sources": [{"type": "file", "path": "a.log"}], "rules_pack": {"path": "force.pack", "keys": [public.name]}}
    config.write_text(json.dumps(settings))
    done = sentinel("check", "-c", config)
    assert (done.returncode, "warning: " in done.stderr, "expired on" in done.stderr) == (0, True, True)
    assert list(load(config).catalog.services) == ["aaa"]
    done = sentinel("rules", "verify", tmp_path / "force.pack", "-c", config)
    assert (done.returncode, "expired on" in done.stderr) == (1, True)


@contextmanager
def server(answers):
    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, headers, body = answers[self.path]
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()


@pytest.mark.integration
def test_a_pack_is_fetched_from_a_server_that_is_not_followed_elsewhere(tmp_path):
    """A redirect to a cloud's metadata service must not be one; nor may an answer of another status be taken for a pack."""
    secret, public = key_files(tmp_path)
    data = packed(tmp_path, secret, 4, "aaa").read_bytes()
    answers = {
        "/good.pack": (200, {}, data),
        "/moved.pack": (302, {"location": "http://169.254.169.254/latest"}, b""),
        "/gone.pack": (404, {}, data),
    }
    trusted, reach = public_keys([public]), WebSettings(name="rules")
    with server(answers) as address:
        assert fetched(f"{address}/good.pack", trusted, reach)[1].version == 4
        for path, words in (("/moved.pack", "a redirect, which is not followed"), ("/gone.pack", "HTTP 404")):
            with pytest.raises(BadPackError, match=words):
                fetched(address + path, trusted, reach)
    for refused in ("http://169.254.169.254/x.pack", "http://[fe80::1]/x.pack", "file:///etc/passwd", "ftp://x.example/x.pack"):
        with pytest.raises(BadPackError, match="cannot be fetched"):
            fetched(refused, trusted, reach)
