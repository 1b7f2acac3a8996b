"""A proxy auto-config file: a function that tells whether a URL is a face-search service's, and one that sends such nowhere.

It is ES5, which every engine reads. Browsers cut the path off an https URL before they ask.
Reference: https://developer.mozilla.org/docs/Web/HTTP/Guides/Proxy_servers_and_tunneling/Proxy_Auto-Configuration_PAC_file
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sentinel.signatures.exports.entry import Entry, merged
from sentinel.signatures.exports.request import host_regex, path_regex, query_regexes
from sentinel.signatures.exports.target import About, Target

CODE = """
// Whether a request goes to a face-search service. To use it in a file of your own, copy all but the last function.
function isFaceSearch(url, host) {
  var name = host.toLowerCase().replace(/\\.$/, ""), rest = name, dot = 0, i;
  if (Object.prototype.hasOwnProperty.call(sentinelHosts, name)) return true;
  while (dot >= 0) {
    if (Object.prototype.hasOwnProperty.call(sentinelDomains, rest)) return true;
    dot = rest.indexOf(".");
    rest = rest.substring(dot + 1);
  }
  for (i = 0; i < sentinelPatterns.length; i++) if (new RegExp(sentinelPatterns[i]).test(name)) return true;
  return isFaceSearchRequest(url);
}

function isFaceSearchRequest(url) {
  var i, j, all;
  for (i = 0; i < sentinelRequests.length; i++) {
    all = true;
    for (j = 0; j < sentinelRequests[i].length; j++) all = all && new RegExp(sentinelRequests[i][j]).test(url);
    if (all) return true;
  }
  return false;
}

function FindProxyForURL(url, host) {
  return isFaceSearch(url, host) ? "PROXY 127.0.0.1:9" : "DIRECT"; // port 9 discards: the request fails
}
"""


def write(entries: Sequence[Entry], about: About) -> dict[str, str]:
    """Return the file."""
    names = merged(entries)
    requests = [_request(entry) for entry in entries if entry.kind == "url"]
    data = [
        f"var sentinelDomains = {_set(names.domains)}; // each with all below it",
        f"var sentinelHosts = {_set(names.hosts)};",
        f"var sentinelPatterns = {_list(f'^{host_regex(name)}$' for name in names.patterns)};",
        f"var sentinelRequests = [{_lines(json.dumps(one) for one in requests)}]; // all expressions of one must be found",
    ]
    return {"sentinel.pac": about.comment("//") + "\n".join(data) + "\n" + CODE}


def _request(entry: Entry) -> list[str]:
    url = entry.url
    host = host_regex(url.host or url.host_pattern or "")
    return [f"^https?://{host}(:[0-9]+)?{(path_regex(url) or '').removeprefix('^')}", *query_regexes(url)]


def _set(names: Iterable[str]) -> str:
    return "{" + _lines(f"{json.dumps(name)}: 1" for name in names) + "}"


def _list(texts: Iterable[str]) -> str:
    return "[" + _lines(map(json.dumps, texts)) + "]"


def _lines(items: Iterable[str]) -> str:
    joined = ",\n  ".join(items)
    return f"\n  {joined}\n" if joined else ""


def _refuses(entry: Entry) -> str | None:
    if entry.kind != "url":
        return None
    if entry.url.methods:
        return "the browser tells no method"
    return "the expression of its path cannot be said in JavaScript" if path_regex(entry.url) is None else None


TARGET = Target(
    title="proxy auto-config file",
    reference="https://developer.mozilla.org/docs/Web/HTTP/Guides/Proxy_servers_and_tunneling/Proxy_Auto-Configuration_PAC_file",
    write=write,
    leaves={"mail_from": "a browser sees no mail", "app": "a browser sees no app"},
    refuses=_refuses,
    caveats=("Browsers cut the path off an https URL before they ask: a path matches in http URLs only.",),
)
