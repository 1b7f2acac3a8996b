"""Squid: access lists for names, host patterns and requests, and the rules that refuse them.

Of HTTPS, Squid sees the host of the CONNECT; paths only where it bumps TLS.
Reference: http://www.squid-cache.org/Doc/config/acl/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sentinel.signatures.exports.entry import Entry, merged
from sentinel.signatures.exports.request import host_regex, path_regex, query_regexes
from sentinel.signatures.exports.target import About, Target


def write(entries: Sequence[Entry], about: About) -> dict[str, str]:
    """Return a file for `include`, to stand before the rules that allow."""
    names = merged(entries)
    lines = [
        *(f"acl sentinel_names dstdomain .{name}" for name in names.domains),
        *(f"acl sentinel_names dstdomain {name}" for name in names.hosts),
        *(f"acl sentinel_patterns dstdom_regex -i ^{host_regex(name)}$" for name in names.patterns),
        *(["http_access deny sentinel_names"] if names.domains or names.hosts else []),
        *(["http_access deny sentinel_patterns"] if names.patterns else []),
    ]
    for number, entry in enumerate((entry for entry in entries if entry.kind == "url"), 1):
        lines += _request(entry, f"sentinel_{number}")
    return {"sentinel.squid.conf": about.comment("#") + "".join(f"{line}\n" for line in lines)}


def _request(entry: Entry, name: str) -> Iterator[str]:
    url, conditions = entry.url, [f"{name}_url"]
    host = host_regex(url.host or url.host_pattern or "")
    yield f"acl {name}_url url_regex ^https?://{host}(:[0-9]+)?{(path_regex(url) or '').removeprefix('^')}"
    if url.methods:
        conditions.append(f"{name}_method")
        yield f"acl {name}_method method {' '.join(sorted(url.methods))}"
    for number, regex in enumerate(query_regexes(url), 1):
        conditions.append(f"{name}_query{number}")
        yield f"acl {name}_query{number} url_regex {regex}"
    yield f"http_access deny {' '.join(conditions)}"


def _refuses(entry: Entry) -> str | None:
    if entry.kind == "url" and (path_regex(entry.url) is None or " " in (path_regex(entry.url) or "")):
        return "the expression of its path cannot be said in POSIX"
    return None


TARGET = Target(
    title="Squid access lists",
    reference="http://www.squid-cache.org/Doc/config/acl/",
    write=write,
    leaves={"mail_from": "a proxy sees no mail", "app": "a proxy sees no app"},
    refuses=_refuses,
    caveats=("Of HTTPS the proxy sees hosts only, unless it decrypts: a path matches in what it decrypts, and in plain HTTP.",),
)
