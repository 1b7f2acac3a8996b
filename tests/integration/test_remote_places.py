"""Logs in storage elsewhere, read from real servers on loopback: S3 (moto's) and SFTP (OpenSSH's)."""

from __future__ import annotations

import getpass
import gzip
import json
import os
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.integration import lab
from tests.integration.daemon import SENTINEL

LINE = "1795411169.935    120 10.20.30.{} TCP_TUNNEL/200 5120 CONNECT pimeyes.com:443 - HIER_DIRECT/203.0.113.9 -\n"

OTHER = LINE.format(9).replace("pimeyes.com", "example.org")


def replayed(*paths: str, **environment: str) -> tuple[list[str], list[str]]:
    """Return the clients that a replay of *paths* finds, and the names of the inputs that it read whole."""
    done = subprocess.run(
        [SENTINEL, "replay", "logs", "--json", *paths],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    inputs = [
        f"{one['path']}{'' if one['complete'] else ' incomplete: ' + one['notes'][0]}" for one in said["coverage"]["inputs"]
    ]
    return sorted(one["client"]["ip"] for one in said["findings"]), sorted(inputs)


def made(folder: Path) -> None:
    """Lay some logs into a folder: plain, compressed and in an archive."""
    (folder / "old").mkdir(parents=True)
    (folder / "access.log").write_text(LINE.format(1) + OTHER * 20_000 + LINE.format(2))
    (folder / "old" / "access.log.1.gz").write_bytes(gzip.compress(LINE.format(3).encode()))
    with zipfile.ZipFile(folder / "old" / "collected.zip", "w") as archive:
        archive.writestr("proxy/access.log", LINE.format(4))


@pytest.fixture
def s3(tmp_path):
    """Run an S3 server with a bucket that holds the logs; return what reaches it."""
    port = lab.free_port()
    url = f"http://{lab.LOCALHOST}:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": url}
    made(tmp_path / "logs")
    (tmp_path / "server").mkdir()
    server = Path(sys.executable).with_name("moto_server")
    if not server.exists():
        pytest.skip("moto is not installed; tests/run gets it")
    with lab.running([server, "-H", lab.LOCALHOST, "-p", str(port)], tmp_path / "server", lambda: lab.listens(port)):
        for name in ("", *(str(path.relative_to(tmp_path)) for path in (tmp_path / "logs").rglob("*") if path.is_file())):
            data = (tmp_path / name).read_bytes() if name else b""
            put = urllib.request.Request(f"{url}/bucket/{name}".rstrip("/"), data=data or None, method="PUT")
            put.add_header("Content-Type", "application/octet-stream")
            put.add_header("Authorization", "AWS4-HMAC-SHA256 Credential=a/20261125/us-east-1/s3/aws4_request")
            urllib.request.urlopen(put, timeout=30).close()
        yield keys


def test_a_bucket_is_read_like_a_folder(s3):
    """Prefixes are walked, patterns matched, archives opened; what is not there is told."""
    clients, inputs = replayed("s3://bucket/logs", "s3://bucket/logs/old/*.gz", "s3://bucket/logs/nothing.log", **s3)
    assert clients == ["10.20.30.1", "10.20.30.2", "10.20.30.3", "10.20.30.4"]
    assert inputs[0] == "s3://bucket/logs/access.log"
    assert inputs[1].startswith("s3://bucket/logs/nothing.log incomplete: offset 0: cannot be opened")
    assert inputs[2:] == ["s3://bucket/logs/old/access.log.1.gz", "s3://bucket/logs/old/collected.zip!proxy/access.log"]


def test_a_server_that_cannot_be_reached_is_told(tmp_path):
    """A case that was read without its bucket must not look clean."""
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1"}
    nobody = f"http://{lab.LOCALHOST}:{lab.free_port()}"
    clients, inputs = replayed("s3://bucket/logs", AWS_ENDPOINT_URL=nobody, **keys)
    assert clients == []
    assert "incomplete: offset 0: cannot be opened" in inputs[0]


def test_files_behind_ssh_are_read(tmp_path):
    """OpenSSH's server, with a key as its clients find it."""
    made(tmp_path / "logs")
    home, server = tmp_path / "home", tmp_path / "server"
    (home / ".ssh").mkdir(parents=True)
    server.mkdir()
    for path in (home / ".ssh" / "id_ed25519", server / "host_key"):
        subprocess.run([lab.program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    port = lab.free_port()
    lines = [
        f"ListenAddress {lab.LOCALHOST}:{port}",
        f"HostKey {server / 'host_key'}",
        f"AuthorizedKeysFile {home / '.ssh' / 'id_ed25519.pub'}",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "PermitRootLogin yes",
        f"PidFile {server / 'pid'}",
        "Subsystem sftp internal-sftp",
    ]
    (server / "sshd_config").write_text("\n".join(lines) + "\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it, and nothing is in it
    command = [lab.program("sshd"), "-D", "-e", "-f", server / "sshd_config"]
    with lab.running(command, server, lambda: lab.listens(port)):
        url = f"sftp://{getpass.getuser()}@{lab.LOCALHOST}:{port}"
        clients, inputs = replayed(f"{url}{tmp_path}/logs", HOME=str(home))
        assert clients == ["10.20.30.1", "10.20.30.2", "10.20.30.3", "10.20.30.4"]
        assert [one.removeprefix(url + str(tmp_path)) for one in inputs] == [
            "/logs/access.log",
            "/logs/old/access.log.1.gz",
            "/logs/old/collected.zip!proxy/access.log",
        ]
