"""More real programs whose logs are read: PowerDNS Recursor, Apache as a forward proxy, HAProxy, Postfix."""

from __future__ import annotations

import contextlib
import os
import shutil
import smtplib
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.integration import lab

MODULES = Path("/usr/lib/apache2/modules")


@contextlib.contextmanager
def powerdns(directory: Path, names: Sequence[str]) -> Iterator[lab.Resolver]:
    """Run PowerDNS Recursor, which finds *names* at 127.0.0.1 and logs each question to its standard error."""
    directory.mkdir()
    port = lab.free_port()
    (directory / "hosts").write_text("".join(f"{lab.LOCALHOST} {name}\n" for name in names))
    (directory / "recursor.conf").write_text("")
    options = {
        "config-dir": directory,
        "socket-dir": directory,
        "local-address": lab.LOCALHOST,
        "local-port": port,
        "allow-from": "127.0.0.0/8",
        "etc-hosts-file": directory / "hosts",
        "export-etc-hosts": "yes",
        "forward-zones-recurse": f".={lab.LOCALHOST}:1",  # what is not ours it must not ask the Internet
        "dnssec": "off",
        "quiet": "no",
        "daemon": "no",
        "disable-syslog": "yes",
        "log-timestamp": "yes",
        "webserver": "no",
        "threads": 1,
    }
    command = [lab.unconfined("pdns_recursor", directory), *(f"--{name}={value}" for name, value in options.items())]
    with lab.running(command, directory, lambda: lab.listens(port)):
        yield lab.Resolver(port, directory / "output")


@contextlib.contextmanager
def folder(owner: str) -> Iterator[Path]:
    """Yield a folder that a program may enter which becomes *owner* when root starts it; pytest's are root's alone."""
    directory = Path(tempfile.mkdtemp(prefix="sentinel-lab-"))
    directory.chmod(0o755)
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, owner)
        yield directory
    finally:
        shutil.rmtree(directory)


@contextlib.contextmanager
def apache(
    directory: Path, beyond: int, formats: dict[str, str], user: tuple[str, str]
) -> Iterator[tuple[int, dict[str, Path]]]:
    """Run Apache as a forward proxy that asks for *user* and a password, and goes through the proxy on the port *beyond*.

    Yield its port, and a log for each of *formats*, which are written as `LogFormat` has them.
    """
    found = lab.program("apache2")
    if not (MODULES / "mod_proxy_connect.so").exists():
        pytest.skip("Apache has no mod_proxy_connect here")
    port, logs = lab.free_port(), {name: directory / f"{name}.log" for name in formats}
    hashed = subprocess.run(
        [lab.program("openssl"), "passwd", "-apr1", user[1]], check=True, capture_output=True, text=True, timeout=30
    ).stdout
    (directory / "users").write_text(f"{user[0]}:{hashed}")
    modules = ["mpm_event", "authn_core", "authn_file", "authz_core", "authz_user", "auth_basic", "proxy", "proxy_http"]
    lines = [
        *(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in (*modules, "proxy_connect")),
        f"ServerRoot {directory}",
        f"PidFile {directory}/pid",
        f"ErrorLog {directory}/error.log",
        f"DefaultRuntimeDir {directory}",
        *(["User www-data", "Group www-data"] if os.geteuid() == 0 else []),
        "ServerName lab",
        f"Listen {lab.LOCALHOST}:{port}",
        "ProxyRequests On",
        f"ProxyRemote * http://{lab.LOCALHOST}:{beyond}",
        "AllowCONNECT 1-65535",
        "<Proxy *>",
        "AuthType Basic",
        'AuthName "lab"',
        "AuthBasicProvider file",
        f"AuthUserFile {directory}/users",
        "Require valid-user",
        "</Proxy>",
        *(f'LogFormat "{written}" {name}' for name, written in formats.items()),
        *(f"CustomLog {path} {name}" for name, path in logs.items()),
    ]
    (directory / "apache.conf").write_text("\n".join(lines) + "\n")
    with lab.running([found, "-DFOREGROUND", "-f", directory / "apache.conf"], directory, lambda: lab.listens(port)):
        yield port, logs


@dataclass(frozen=True)
class Balancer:
    """HAProxy, its log, and a port for each of its frontends: plain HTTP, HTTPS, and TCP by the name in the handshake."""

    log: Path
    ports: dict[str, int]


@contextlib.contextmanager
def haproxy(directory: Path, site: tuple[int, int]) -> Iterator[Balancer]:
    """Run HAProxy before a *site* with an HTTP and an HTTPS port; it refuses hosts that begin with `blocked.`."""
    directory.mkdir()
    ports = {name: lab.free_port() for name in ("http", "https", "tcp")}
    files = lab.certificate(directory, ["lab.example"])
    (directory / "both.pem").write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
    inspecting = "tcp-request inspect-delay 5s\n tcp-request content capture req.ssl_sni len 100"
    (directory / "haproxy.cfg").write_text(
        f"""
        global
         log stdout format rfc3164 local0
        defaults
         log global
         timeout connect 5s
         timeout client 30s
         timeout server 30s
        frontend http
         mode http
         option httplog
         bind {lab.LOCALHOST}:{ports["http"]}
         capture request header Host len 100
         capture request header User-Agent len 200
         http-request deny if {{ hdr_beg(host) blocked. }}
         default_backend web
        frontend https
         mode http
         option httpslog
         bind {lab.LOCALHOST}:{ports["https"]} ssl crt {directory}/both.pem
         default_backend web
        frontend tcp
         mode tcp
         {inspecting}
         tcp-request content accept if {{ req.ssl_hello_type 1 }}
         log-format "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq sni=%[capture.req.hdr(0)]"
         bind {lab.LOCALHOST}:{ports["tcp"]}
         default_backend tls
        backend web
         mode http
         server web1 {lab.LOCALHOST}:{site[0]}
        backend tls
         mode tcp
         server tls1 {lab.LOCALHOST}:{site[1]}
        """.replace("\n        ", "\n")
    )
    command = [lab.unconfined("haproxy", directory), "-db", "-f", directory / "haproxy.cfg"]
    with lab.running(command, directory, lambda: all(lab.listens(port) for port in ports.values())):
        yield Balancer(directory / "output", ports)


@dataclass(frozen=True)
class MailServer:
    """Postfix, its log, and the port where it takes mail in."""

    log: Path
    port: int

    def take(self, sender: str, recipients: Sequence[str], subject: str) -> None:
        """Hand a mail in, as a server on the Internet does; recipients that are refused are left out."""
        message = EmailMessage()
        message["Subject"], message["From"] = subject, sender
        message.set_content("hello")
        with smtplib.SMTP(lab.LOCALHOST, self.port, timeout=60) as session, contextlib.suppress(smtplib.SMTPRecipientsRefused):
            session.sendmail(sender, recipients, message.as_string())


@contextlib.contextmanager
def postfix(domain: str, refused: str) -> Iterator[MailServer]:
    """Run Postfix as the mail server of *domain*, with a mailbox for everybody there but *refused*. It logs subjects."""
    found = lab.program("postfix")
    if os.geteuid() != 0:
        pytest.skip("Postfix starts for root only")
    with folder("root") as directory:
        port, log = lab.free_port(), directory / "maillog"
        for name in ("queue", "data"):
            (directory / name).mkdir()
        shutil.chown(directory / "data", "postfix")
        settings = {
            "compatibility_level": "3.6",
            "queue_directory": directory / "queue",
            "data_directory": directory / "data",
            "daemon_directory": "/usr/lib/postfix/sbin",
            "command_directory": "/usr/sbin",
            "maillog_file": log,
            "maillog_file_prefixes": directory,
            "inet_interfaces": lab.LOCALHOST,
            "inet_protocols": "ipv4",
            "mynetworks": "127.0.0.0/8",
            "myhostname": "mx1." + domain,
            "mydestination": domain,
            "local_recipient_maps": "",
            "local_transport": "discard:",
            "alias_maps": "",
            "disable_dns_lookups": "yes",
            "smtpd_peername_lookup": "no",
            "smtpd_recipient_restrictions": f"check_recipient_access inline:{{ {refused}=REJECT }}, reject_unauth_destination",
            "header_checks": "regexp:{ {/^Subject:/ WARN} }",
        }
        (directory / "main.cf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        services = [
            f"{lab.LOCALHOST}:{port} inet n - n - - smtpd",
            "cleanup unix n - n - 0 cleanup",
            "qmgr unix n - n 300 1 qmgr",
            "rewrite unix - - n - - trivial-rewrite",
            *(f"{name} unix - - n - 0 bounce" for name in ("bounce", "defer", "trace")),
            "proxymap unix - - n - - proxymap",
            "error unix - - n - - error",
            "retry unix - - n - - error",
            "discard unix - - n - - discard",
            "anvil unix - - n - 1 anvil",
            "postlog unix-dgram n - n - 1 postlogd",
        ]
        (directory / "master.cf").write_text("\n".join(services) + "\n")
        with lab.running([found, "-c", directory, "start-fg"], directory, lambda: lab.listens(port)):
            yield MailServer(log, port)
