"""Zeek: an Intel file, and a script for what Intel cannot say: names below a name, host patterns, and all below a path.

The Intel framework looks names up whole. The script asks it for the entry that a longer name lies below, so that every hit is
one of Intel's own, with this file's `meta` fields.
Reference: https://docs.zeek.org/en/current/frameworks/intel.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sentinel.signatures.exports.entry import Entry, merged
from sentinel.signatures.exports.request import host_regex
from sentinel.signatures.exports.target import About, Target

FIELDS = ("indicator", "indicator_type", "meta.source", "meta.desc", "meta.url", "meta.do_notice")

HEAD = """
@load base/frameworks/intel
@load policy/frameworks/intel/seen
@load policy/frameworks/intel/do_notice

module Sentinel;

export {
"""

CODE = """
redef Intel::read_files += { @DIR + "/sentinel.intel" };

function seen(c: connection, indicator: string, kind: Intel::Type, where: Intel::Where)
	{
	Intel::seen([$indicator=indicator, $indicator_type=kind, $conn=c, $where=where]);
	}

# The name itself is looked up by policy/frameworks/intel/seen; here it is what the name lies below.
function name_seen(c: connection, name: string, where: Intel::Where)
	{
	local host = sub(sub(to_lower(name), /:[0-9]+$/, ""), /\\.$/, "");
	for ( indicator, expression in patterns )
		{
		if ( expression == host )
			seen(c, indicator, Intel::DOMAIN, where);
		}
	local parts = split_string1(host, /\\./);
	while ( |parts| == 2 )
		{
		if ( parts[1] in domains )
			{
			seen(c, parts[1], Intel::DOMAIN, where);
			break;
			}
		parts = split_string1(parts[1], /\\./);
		}
	}

event dns_request(c: connection, msg: dns_msg, query: string, qtype: count, qclass: count)
	{
	name_seen(c, query, DNS::IN_REQUEST);
	}

event ssl_extension_server_name(c: connection, is_client: bool, names: string_vec)
	{
	if ( is_client && |names| > 0 )
		name_seen(c, names[0], SSL::IN_SERVER_NAME);
	}

event http_message_done(c: connection, is_orig: bool, stat: http_message_stat)
	{
	if ( ! is_orig || ! c?$http || ! c$http?$host || ! c$http?$uri )
		return;
	name_seen(c, c$http$host, HTTP::IN_HOST_HEADER);
	local whole = sub(to_lower(c$http$host), /:[0-9]+$/, "") + split_string1(c$http$uri, /\\?/)[0];
	# A URL that stands whole in the file is looked up by policy/frameworks/intel/seen, for which other ports are part of it.
	local known = c$id$resp_p == 80/tcp && /\\?/ !in c$http$uri;
	local url = whole;
	while ( /\\// in url )
		{
		if ( url in requests && ! ( known && url == whole ) )
			seen(c, url, Intel::URL, HTTP::IN_URL);
		url = sub(url, /\\/[^\\/]*$/, "");
		}
	}
"""


def write(entries: Sequence[Entry], about: About) -> dict[str, str]:
    """Return the Intel file and the script that reads it; both belong into one folder."""
    names = merged(entries)
    patterns = {entry.name: f"/^{host_regex(entry.name)}$/" for entry in entries if entry.kind == "host_pattern"}
    requests = sorted({_url(entry) for entry in entries if entry.kind == "url"})
    script = HEAD + "".join(
        f"\t## {says}\n\tconst {name} = {_block(items)} &redef;\n"
        for says, name, items in (
            ("Names of which all below is meant as well.", "domains: set[string]", map(_quoted, names.domains)),
            (
                "Hosts of which a part varies.",
                "patterns: table[string] of pattern",
                (f"[{_quoted(name)}] = {regex}" for name, regex in sorted(patterns.items())),
            ),
            ("Hosts and paths of which all below is meant as well.", "requests: set[string]", map(_quoted, requests)),
        )
    )
    return {
        "sentinel.intel": about.comment("#") + _intel(entries),
        "sentinel.zeek": about.comment("##!") + script + "}\n" + CODE,
    }


def _intel(entries: Sequence[Entry]) -> str:
    rows = {_row(entry): None for entry in entries}
    return "".join("\t".join(row) + "\n" for row in [("#fields", *FIELDS), *rows])


def _row(entry: Entry) -> tuple[str, ...]:
    kind = "Intel::URL" if entry.kind == "url" else "Intel::DOMAIN"
    reference = next(iter(entry.service.references), "-")
    texts = (
        _url(entry),
        kind,
        f"sentinel/{entry.service.id}",
        f"{entry.service.name} ({entry.severity})",
        reference,
        "T",
    )
    return tuple(text.replace("\t", " ").replace("\n", " ") for text in texts)


def _url(entry: Entry) -> str:
    return f"{entry.name}{entry.url.path}" if entry.kind == "url" else entry.name


def _quoted(text: str) -> str:
    return json.dumps(text)


def _block(items: Iterable[str]) -> str:
    joined = ",\n\t\t".join(items)
    return f"{{\n\t\t{joined}\n\t}}" if joined else "{ }"


def _refuses(entry: Entry) -> str | None:
    if entry.kind != "url":
        return None
    if not (entry.url.host and entry.url.path and entry.url.shared):
        return "an Intel URL is a literal host and path"
    return "an Intel URL knows no method and no single parameter" if entry.url.methods or entry.url.query else None


TARGET = Target(
    title="Zeek Intel file and script",
    reference="https://docs.zeek.org/en/current/frameworks/intel.html",
    write=write,
    leaves={"mail_from": "Intel looks mail addresses up whole", "app": "no traffic shows an app's id"},
    refuses=_refuses,
)
