"""Filter lists of browsers' content blockers (uBlock Origin, AdGuard, Brave), and of AdGuard Home and Pi-hole.

Reference: https://adguard.com/kb/general/ad-filtering/create-own-filters/
"""

from __future__ import annotations

from collections.abc import Sequence

from sentinel.signatures.exports.entry import Entry, merged
from sentinel.signatures.exports.request import host_regex
from sentinel.signatures.exports.target import About, Target


def write(entries: Sequence[Entry], about: About) -> dict[str, str]:
    """Return the list."""
    names = merged(entries)
    # A name with two bars takes all below it along, and a star crosses dots: only an expression means one label.
    narrow = [rf"/^https?:\/\/{host_regex(name)}[:\/]/" for name in (*names.hosts, *names.patterns)]
    narrow += [
        f"|{scheme}://{one.url.host}{one.url.path}^" for one in entries if one.kind == "url" for scheme in ("https", "http")
    ]
    lines = [
        *(f"||{name}^" for name in names.domains),
        # Without the second rule, what other pages take from it is blocked, and the page itself is shown.
        *(line for rule in dict.fromkeys(narrow) for line in (rule, f"{rule}$document")),
    ]
    title = "[Adblock Plus 2.0]\n! Title: Sentinel: face-search services\n! Expires: 1 day\n"
    return {"sentinel.txt": title + about.comment("!") + "".join(f"{line}\n" for line in lines)}


def _refuses(entry: Entry) -> str | None:
    if entry.kind != "url":
        return None
    if not (entry.url.host and entry.url.path and entry.url.shared):
        return "a filter says a literal host and path, and all below it"
    return "a filter knows no method and no single parameter" if entry.url.methods or entry.url.query else None


TARGET = Target(
    title="filter list for content blockers",
    reference="https://adguard.com/kb/general/ad-filtering/create-own-filters/",
    write=write,
    leaves={"mail_from": "a filter sees no mail", "app": "a filter sees no app"},
    refuses=_refuses,
    caveats=("AdGuard Home and Pi-hole see names only: to them the lines with a path or an expression say nothing.",),
)
