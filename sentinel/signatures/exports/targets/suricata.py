"""Suricata 7 and 8: one alert rule for each name and protocol (DNS query, TLS and QUIC SNI, HTTP host).

`dotprefix` puts a dot before the buffer, so that a content which begins with a dot means the name or any below it.
Reference: https://docs.suricata.io/en/suricata-7.0.10/rules/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sentinel.signatures.exports.entry import Entry
from sentinel.signatures.exports.ids import sids
from sentinel.signatures.exports.request import escaped, host_regex, path_regex, query_regexes
from sentinel.signatures.exports.target import About, Target

BUFFERS = {"dns": "dns.query", "tls": "tls.sni", "quic": "quic.sni", "http": "http.host", "http as written": "http.host.raw"}
"""The rules of a name, and the buffer that each looks into. Suricata's http.host is in lower case, but for a Host header with a
port (seen with 7.0.10); nor does it lose its final dot. The last rule is for just those."""

PRIORITY = {"critical": 1, "high": 1, "medium": 2, "low": 3, "info": 4}


def write(entries: Sequence[Entry], about: About) -> dict[str, str]:
    """Return one file of rules."""
    wanted = [(entry, way) for entry in entries for way in (["http"] if entry.kind == "url" else BUFFERS)]
    numbers = sids(f"{entry.key} {way}" for entry, way in wanted)
    rules = (_rule(entry, way, numbers[f"{entry.key} {way}"]) for entry, way in wanted)
    return {"sentinel.rules": about.comment("#") + "".join(f"{rule}\n" for rule in rules)}


def _rule(entry: Entry, way: str, sid: int) -> str:
    service, protocol = entry.service, way.partition(" ")[0]
    options = [
        f'msg:"Face search: {_text(service.name)} ({way} {_text(_what(entry))})"',
        *(["flow:established,to_server"] if protocol in ("tls", "http") else []),
        *(_request(entry) if entry.kind == "url" else [BUFFERS[way], *_name(entry, way)]),
        *(f"reference:url,{_text(one.partition('://')[2] or one)}" for one in service.references[:1]),
        "classtype:policy-violation",
        f"priority:{PRIORITY[entry.severity]}",
        f"sid:{sid}",
        "rev:1",
        f"metadata:sentinel_service {service.id}, sentinel_severity {entry.severity}",
    ]
    return f"alert {protocol} $HOME_NET any -> any any ({'; '.join(options)};)"


def _what(entry: Entry) -> str:
    return f"{entry.name}{entry.url.path or entry.url.path_regex}" if entry.kind == "url" else entry.name


def _name(entry: Entry, way: str) -> list[str]:
    # Suricata refuses a rule that says nocase of http.host.
    nocase, caseless = ([], "") if way == "http" else (["nocase"], "i")
    if way == "http as written":
        below = r"(.+\.)?" if entry.kind == "domain" else ""
        odd = r"[A-Z].*:|\.(:|$)"
        return [*_rarest(entry.name, nocase), rf'pcre:"/^{below}{host_regex(entry.name)}\.?(:[0-9]+)?$/i"', f'pcre:"/{odd}/"']
    if entry.kind == "domain":
        return ["dotprefix", f'content:".{entry.name}"', *nocase, "endswith"]
    if entry.kind == "host":
        return [f'content:"{entry.name}"', *nocase, "startswith", "endswith"]
    return [*_rarest(entry.name, nocase), f'pcre:"/^{host_regex(entry.name)}$/{caseless}"']


def _rarest(pattern: str, nocase: list[str]) -> list[str]:
    """Return the longest piece of a pattern as a content: it spares Suricata the expression for most names."""
    return [f'content:"{max(pattern.split("*"), key=len)}"', *nocase]


def _request(entry: Entry) -> Iterator[str]:
    url = entry.url
    if url.methods:
        yield f'http.method; pcre:"/^({"|".join(map(escaped, sorted(url.methods)))})$/"'
    if url.host:
        yield f'http.host; content:"{url.host}"; startswith; endswith'
    elif url.host_pattern != "*":
        yield f'http.host; pcre:"/^{host_regex(url.host_pattern or "")}$/"'
    yield "http.uri"
    if url.path:
        yield f'content:"{_content(url.path)}"; startswith'
    yield f'pcre:"/{_pcre(path_regex(url) or "")}/"'
    for regex in query_regexes(url):
        yield f'pcre:"/{_pcre(regex)}/"'


def _content(text: str) -> str:
    return "".join(char if char.isalnum() or char in "/._~-=%+@!*'(),&" else f"|{ord(char):02x}|" for char in text)


def _pcre(regex: str) -> str:
    return regex.replace("/", r"\/").replace(";", r"\x3b").replace('"', r"\x22")


def _text(text: str) -> str:
    """Return *text* without what ends an option or a string; nothing is matched by it."""
    return "".join(char if char.isascii() and char not in '";:\\|' else " " for char in text)


def _refuses(entry: Entry) -> str | None:
    if entry.kind == "url" and path_regex(entry.url) is None:
        return "the expression of its path cannot be said in PCRE over path and query"
    return None


TARGET = Target(
    title="Suricata 7 and 8 rules",
    reference="https://docs.suricata.io/en/suricata-7.0.10/rules/",
    write=write,
    leaves={"mail_from": "the rules watch no mail", "app": "no traffic shows an app's id"},
    refuses=_refuses,
    caveats=("A path shows in HTTP in the clear only, or behind a decrypting tap.",),
)
