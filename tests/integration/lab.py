"""The lab: real resolvers, a real proxy and a real syslog server, each on a loopback port of its own and gone after its test.

Every program runs as whoever runs the tests, from configuration and into logs below the folder it is given. One that the
machine lacks makes the test skip by the program's name; `tests/run` installs them all.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.server
import ipaddress
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
LOCALHOST = "127.0.0.1"
READY_SECS = 30.0  # the slowest starts in two seconds; a machine under load takes its time
STOP_SECS = 15.0

ZONE = "America/Los_Angeles"
POSIX_ZONE = "PST8PDT,M3.2.0,M11.1.0"
"""`ZONE`, spelled so that the C library needs no zone files. The programs log in this zone, so that no test passes because the
machine's is UTC."""


def program(name: str) -> str:
    """Return the path of the program *name*; skip the test where the machine has none."""
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed; tests/run gets it from Debian")
    return found


def unconfined(name: str, directory: Path) -> str:
    """Return a path that runs *name* without Debian's AppArmor profile, which knows only the system's own configuration.

    A profile goes with the program's path, so that a copy has none.
    """
    found = program(name)
    if not Path("/sys/kernel/security/apparmor").exists() and not Path("/sys/module/apparmor").exists():
        return found
    return shutil.copy2(found, directory / name)


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free for TCP and UDP, from below those that outgoing connections are given."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket(type=socket.SOCK_STREAM) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            with contextlib.suppress(OSError):
                tcp.bind((LOCALHOST, port))
                udp.bind((LOCALHOST, port))
                return port


def wait_until(true: Callable[[], Any], what: str, secs: float = READY_SECS) -> Any:
    """Return the first true value of *true*, asked again and again; fail the test, naming *what*, after *secs*."""
    deadline = time.monotonic() + secs
    while not (value := true()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {secs:g} s")
        time.sleep(0.02)
    return value


def listens(port: int) -> bool:
    """Whether something takes TCP connections on *port*."""
    try:
        socket.create_connection((LOCALHOST, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def running(command: Sequence[str | Path], directory: Path, ready: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that stays in the foreground until the block ends; leave none of its processes behind.

    What it prints goes to `output` in *directory*, and into the failure when it does not become ready.
    """
    output = directory / "output"
    environment = os.environ | {"TZ": POSIX_ZONE, "PATH": PATH}
    with output.open("ab") as sink:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,  # a process group, so that helpers it starts are ended with it
        )
    try:
        wait_until(lambda: process.poll() is not None or ready(), f"{command[0]} is ready")
        if process.poll() is not None:
            pytest.fail(f"{command[0]} ended with {process.returncode}: {output.read_text(errors='replace')[-2000:]}")
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a program and whatever it started: politely, then for certain."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECS)
    wait_until(lambda: not alive(process.pid), f"the processes of {process.args} are gone")


def alive(group: int) -> list[str]:
    """Return the processes of a process group, without those that have ended and only wait to be noticed."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            state, _parent, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                found.append(stat.parent.name)
    return found


@dataclass(frozen=True)
class Resolver:
    """A resolver that answers for the services' names, and the query log it writes."""

    port: int
    log: Path

    def ask(self, name: str, *, client: str = LOCALHOST, kind: str = "A", options: Sequence[str] = ()) -> str:
        """Look *name* up from the loopback address *client*; return dig's short answer."""
        command = [program("dig"), f"@{LOCALHOST}", "-p", str(self.port), "-b", client, "+short", "+tries=1", "+time=5"]
        return subprocess.run(
            [*command, *options, name, kind], check=True, capture_output=True, text=True, timeout=30
        ).stdout.strip()


@contextlib.contextmanager
def dnsmasq(directory: Path, names: Sequence[str], *, extra: bool = False) -> Iterator[Resolver]:
    """Run dnsmasq, answering 127.0.0.1 for *names* and all below them; `extra` logs serial and port as well."""
    directory.mkdir()
    port, log = free_port(), directory / "dnsmasq.log"
    config = directory / "dnsmasq.conf"
    lines = [
        "no-resolv",
        "no-hosts",
        "bind-interfaces",
        f"listen-address={LOCALHOST}",
        f"port={port}",
        f"pid-file={directory / 'pid'}",
        "log-queries=extra" if extra else "log-queries",
        f"log-facility={log}",
        *(f"address=/{name}/{LOCALHOST}" for name in names),
        *(["user=root", "group=root"] if os.geteuid() == 0 else []),  # else it gives itself away to "dnsmasq" or "nobody"
    ]
    config.write_text("\n".join(lines) + "\n")
    command = [unconfined("dnsmasq", directory), "--keep-in-foreground", f"--conf-file={config}"]
    with running(command, directory, lambda: listens(port)):
        yield Resolver(port, log)


SHOWN = "print-time yes; print-category yes; print-severity yes;"


@contextlib.contextmanager
def bind(directory: Path, names: Sequence[str], *, channel: str = SHOWN, view: str = "") -> Iterator[Resolver]:
    """Run BIND's named as the authority for *names* and all below them, with a query log whose channel has these options."""
    directory.mkdir()
    port, log = free_port(), directory / "query.log"
    zone = "$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n@ A 127.0.0.1\n* A 127.0.0.1\n"
    (directory / "service.zone").write_text(zone)
    zones = "".join(f'zone "{name}" {{ type primary; file "service.zone"; }};\n' for name in names)
    (directory / "named.conf").write_text(
        f"""options {{
            directory "{directory}"; pid-file "pid"; session-keyfile "session.key"; lock-file none;
            listen-on port {port} {{ {LOCALHOST}; }}; listen-on-v6 {{ none; }};
            recursion no; dnssec-validation no; querylog yes; allow-query {{ any; }}; notify no;
        }};
        controls {{ }};
        logging {{
            channel queries {{ file "{log}"; severity info; {channel} }};
            category queries {{ queries; }};
        }};
        """
        + (f'view "{view}" {{ match-clients {{ any; }};\n{zones}}};\n' if view else zones)
    )
    command = [unconfined("named", directory), "-f", "-c", directory / "named.conf"]
    with running(command, directory, lambda: listens(port)):
        yield Resolver(port, log)


@contextlib.contextmanager
def unbound(directory: Path, names: Sequence[str], *, options: Sequence[str] = ()) -> Iterator[Resolver]:
    """Run Unbound, answering 127.0.0.1 for *names* and all below them; *options* are further lines of its `server:` part."""
    directory.mkdir()
    port, log = free_port(), directory / "unbound.log"
    lines = [
        "server:",
        f"interface: {LOCALHOST}@{port}",
        'username: ""',
        'chroot: ""',
        f'directory: "{directory}"',
        f'pidfile: "{directory / "pid"}"',
        f'logfile: "{log}"',
        "use-syslog: no",
        "log-queries: yes",
        'module-config: "iterator"',  # without the validator no root key is needed
        'local-zone: "." refuse',  # what is not ours it must not ask the Internet
        *options,
        *(line for name in names for line in (f'local-zone: "{name}." redirect', f'local-data: "{name}. A {LOCALHOST}"')),
        "remote-control:",
        "control-enable: no",
    ]
    (directory / "unbound.conf").write_text("\n".join(lines) + "\n")
    command = [unconfined("unbound", directory), "-d", "-p", "-c", directory / "unbound.conf"]
    with running(command, directory, lambda: listens(port)):
        yield Resolver(port, log)


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate and its key, as PEM files."""

    certificate: Path
    key: Path


def certificate(directory: Path, names: Sequence[str]) -> Certificate:
    """Make a certificate for *names* and 127.0.0.1, valid today, that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sentinel's lab")])
    address = x509.IPAddress(ipaddress.ip_address(LOCALHOST))
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([*map(x509.DNSName, names), x509.DNSName("localhost"), address]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    files = Certificate(directory / "certificate.pem", directory / "key.pem")
    files.certificate.write_bytes(made.public_bytes(pem))
    files.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return files


class _Page(http.server.BaseHTTPRequestHandler):
    """A site that answers every GET and POST with a short page."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b"a page\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, *args: object) -> None:
        """Say nothing: the site is not what is tested."""


@contextlib.contextmanager
def serving(server: http.server.ThreadingHTTPServer) -> Iterator[None]:
    """Serve until the block ends."""
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def website(directory: Path, names: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Run a site that bears *names*; yield its HTTP and its HTTPS port."""
    directory.mkdir()
    plain = http.server.ThreadingHTTPServer((LOCALHOST, 0), _Page)
    secure = http.server.ThreadingHTTPServer((LOCALHOST, 0), _Page)
    files = certificate(directory, names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    with serving(plain), serving(secure):
        yield plain.server_port, secure.server_port


@dataclass(frozen=True)
class Proxy:
    """A forward proxy and its native access log."""

    port: int
    log: Path

    def get(self, url: str, *, client: str = LOCALHOST, options: Sequence[str] = ()) -> None:
        """Fetch *url* through the proxy from the loopback address *client*, whatever comes back."""
        proxy = ["--proxy", f"http://{LOCALHOST}:{self.port}", "--noproxy", "", "--interface", client]
        command = [program("curl"), "--silent", "--insecure", "--output", os.devnull, "--max-time", "20", *proxy, *options, url]
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        subprocess.run(command, check=False, timeout=30, env=environment)


@contextlib.contextmanager
def squid(names: Sequence[str], *, blocked: Sequence[str] = (), options: Sequence[str] = ()) -> Iterator[Proxy]:
    """Run Squid, which finds *names* at 127.0.0.1 and refuses the domains *blocked*; *options* are further lines before that.

    As root, Squid insists on becoming another user: its folder is its own, outside pytest's, which only root may enter.
    """
    directory = Path(tempfile.mkdtemp(prefix="sentinel-squid-"))
    port, log = free_port(), directory / "access.log"
    (directory / "hosts").write_text("".join(f"{LOCALHOST} {name}\n" for name in names))
    lines = [
        f"http_port {LOCALHOST}:{port}",
        f"hosts_file {directory / 'hosts'}",
        f"dns_nameservers {LOCALHOST}",  # where none answers: what is not ours it must not ask the Internet
        f"access_log stdio:{log} squid",
        f"cache_log {directory / 'cache.log'}",
        f"coredump_dir {directory}",
        f"pid_filename {directory / 'pid'}",
        "visible_hostname lab",
        "cache deny all",
        "cache_mem 1 MB",
        "pinger_enable off",
        "shutdown_lifetime 0 seconds",
        *options,
        *([f"acl blocked dstdomain {' '.join('.' + name for name in blocked)}", "http_access deny blocked"] if blocked else []),
        "http_access allow all",
    ]
    (directory / "squid.conf").write_text("\n".join(lines) + "\n")
    if os.geteuid() == 0:
        shutil.chown(directory, "proxy", "proxy")
    try:
        command = [unconfined("squid", directory), "-N", "-f", directory / "squid.conf"]
        with running(command, directory, lambda: listens(port)):
            yield Proxy(port, log)
    finally:
        shutil.rmtree(directory)


@dataclass(frozen=True)
class SyslogServer:
    """A syslog server with a port for each transport."""

    ports: dict[str, int]
    certificate: Certificate
    directory: Path

    def received(self, transport: str) -> list[dict[str, str]]:
        """Return what came in over *transport*: pri, timestamp, host, app, msgid, data and msg of each message, in order."""
        log = self.directory / f"{transport}.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


RECEIVED = """template(name="received" type="list" option.jsonf="on") {
    property(outname="pri" name="pri" format="jsonf")
    property(outname="timestamp" name="timestamp" dateFormat="rfc3339" format="jsonf")
    property(outname="host" name="hostname" format="jsonf")
    property(outname="app" name="app-name" format="jsonf")
    property(outname="msgid" name="msgid" format="jsonf")
    property(outname="data" name="structured-data" format="jsonf")
    property(outname="msg" name="msg" format="jsonf")
}
"""


@contextlib.contextmanager
def rsyslog(directory: Path, ports: dict[str, int] | None = None) -> Iterator[SyslogServer]:
    """Run rsyslog, receiving over `udp`, `tcp` and `tls`; each transport's messages go to a file of their own, JSON lines.

    *ports* is given to start again where one ran before.
    """
    directory.mkdir(exist_ok=True)
    ports = ports or {transport: free_port() for transport in ("udp", "tcp", "tls")}
    files = Certificate(directory / "certificate.pem", directory / "key.pem")
    if not files.key.exists():
        files = certificate(directory, [])
    listen = {
        "udp": 'type="imudp"',
        "tcp": 'type="imtcp" streamDriver.name="ptcp" streamDriver.mode="0"',
        "tls": 'type="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon"',
    }
    lines = [
        f'global(workDirectory="{directory}" maxMessageSize="64k" defaultNetstreamDriverCAFile="{files.certificate}"',
        f'    defaultNetstreamDriverCertFile="{files.certificate}" defaultNetstreamDriverKeyFile="{files.key}")',
        'module(load="imudp")',
        'module(load="imtcp")',
        RECEIVED,
        *(
            f'ruleset(name="{transport}") {{ action(type="omfile" file="{directory / transport}.log" template="received") }}\n'
            f'input({listen[transport]} address="{LOCALHOST}" port="{port}" ruleset="{transport}")'
            for transport, port in ports.items()
        ),
    ]
    (directory / "rsyslog.conf").write_text("\n".join(lines) + "\n")
    command = [unconfined("rsyslogd", directory), "-n", "-f", directory / "rsyslog.conf", "-i", directory / "pid"]
    with running(command, directory, lambda: listens(ports["tcp"]) and listens(ports["tls"])):
        yield SyslogServer(ports, files, directory)


@contextlib.contextmanager
def syslog_ng(directory: Path) -> Iterator[SyslogServer]:
    """Run syslog-ng, receiving over `tcp` and `tls` as its `syslog()` driver does; otherwise like `rsyslog`.

    Debian takes it for a rival of rsyslog, so that `tests/run` unpacks it below the virtual environment.
    """
    unpacked = Path(sys.prefix) / "debian"
    if not (unpacked / "usr/sbin/syslog-ng").exists():
        pytest.skip("syslog-ng is not unpacked; tests/run gets it from Debian")
    directory.mkdir()
    ports = {transport: free_port() for transport in ("tcp", "tls")}
    files = certificate(directory, [])
    keys = f'tls(key-file("{files.key}") cert-file("{files.certificate}") peer-verify(optional-untrusted))'
    fields = "pri=$PRI timestamp=$ISODATE host=$HOST app=$PROGRAM msgid=$MSGID data=$SDATA msg=$MSG"
    lines = [
        "@version: 3.38",
        "options { keep-hostname(yes); use-dns(no); log-msg-size(65536); frac-digits(3); };",
        *(
            f'source {transport} {{ syslog(ip("{LOCALHOST}") port({port}) transport("{transport}") '
            f"{keys if transport == 'tls' else ''}); }};\n"
            f'destination {transport} {{ file("{directory / transport}.log" template("$(format-json {fields})\\n")); }};\n'
            f"log {{ source({transport}); destination({transport}); }};"
            for transport, port in ports.items()
        ),
    ]
    (directory / "syslog-ng.conf").write_text("\n".join(lines) + "\n")
    libraries = unpacked / "usr/lib/syslog-ng"
    command = [
        *("env", f"LD_LIBRARY_PATH={libraries}", unpacked / "usr/sbin/syslog-ng", "--foreground"),
        *(f"--module-path={libraries / '3.38'}", f"--cfgfile={directory / 'syslog-ng.conf'}", "--no-caps"),
        *(f"--persist-file={directory / 'persist'}", f"--control={directory / 'control'}", f"--pidfile={directory / 'pid'}"),
    ]
    with running(command, directory, lambda: listens(ports["tcp"]) and listens(ports["tls"])):
        yield SyslogServer(ports, files, directory)


@dataclass
class Webhook:
    """A receiver of Standard Webhooks. `answer` chooses each request's status: 2xx takes the document."""

    secret: str
    answer: Callable[[], int] = lambda: 204
    url: str = ""
    taken: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Webhook id and JSON body of each request that was answered 2xx, in order."""
    forged: list[str] = field(default_factory=list)
    """What was wrong with requests whose signature does not hold."""

    def check(self, headers: Any, body: bytes) -> None:
        """Note a request that its signature does not cover (https://www.standardwebhooks.com)."""
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
        expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        if expected not in headers["webhook-signature"].split(" "):
            self.forged.append(f"{headers['webhook-id']}: {headers['webhook-signature']}")
        if abs(time.time() - int(headers["webhook-timestamp"])) > 300:
            self.forged.append(f"{headers['webhook-id']}: sent at {headers['webhook-timestamp']}")


@contextlib.contextmanager
def webhook(answer: Callable[[], int] = lambda: 204) -> Iterator[Webhook]:
    """Run a webhook receiver on loopback."""
    receiver = Webhook("whsec_" + base64.b64encode(os.urandom(24)).decode(), answer)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:  # the sender was killed in the middle
                self.close_connection = True
                return
            receiver.check(self.headers, body)
            status = receiver.answer()
            if 200 <= status < 300:  # noted before the answer: whoever reads the answer may look for it at once
                receiver.taken.append((self.headers["webhook-id"], json.loads(body)))
            self.send_response(status)
            self.send_header("Content-Length", "0") if status != 204 else None
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing: the tests look at `taken`."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Let a sender go that was killed; what else goes wrong here shall be seen."""
            if not isinstance(sys.exc_info()[1], ConnectionError):
                super().handle_error(request, client_address)

    server = Server((LOCALHOST, 0), Handler)
    receiver.url = f"http://{LOCALHOST}:{server.server_port}/hook"
    with serving(server):
        yield receiver
