"""What `sentinel observe` sees in captures, in the oracle's terms."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.oracle.facts import NONE, Ends, Fact, Facts


def observed(*paths: Path) -> Facts:
    """Return what the command prints of *paths*."""
    command = [str(Path(sys.executable).with_name("sentinel")), "observe", *map(str, paths)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    facts = Facts()
    for line in printed.splitlines():
        facts.update(of_document(json.loads(line)))
    return facts


def of_document(document: dict[str, Any]) -> Iterator[Fact]:
    """Return the facts in one ECS document; flows, which are sums over packets, are none that tshark would tell."""
    source, destination = document["source"], document["destination"]
    ends = Ends(source["ip"], source["port"], destination["ip"], destination["port"])
    action = document["event"]["action"]
    if action in ("dns_query", "dns_answer"):
        question = document["dns"].get("question", {})
        asked = f"{question.get('name', '')} {question.get('type')}"
        if action == "dns_query":
            yield Fact("dns query", ends, asked)
        for address in document["dns"].get("resolved_ip", []) if action == "dns_answer" else ():
            yield Fact("dns address", ends, f"{asked} {address}")
    elif action in ("tls_client_hello", "quic_client_hello"):
        client = document.get("tls", {}).get("client", {})
        over = "quic " if action == "quic_client_hello" else ""
        yield Fact(f"{over}sni", ends, client.get("server_name", NONE))  # type: ignore[arg-type]
        yield Fact(f"{over}alpn", ends, ",".join(document["sentinel"].get("alpn", [])) or NONE)  # type: ignore[arg-type]
        yield Fact(f"{over}ja4", ends, client.get("ja4", NONE))  # type: ignore[arg-type]
    elif action in ("http_request", "proxy_connect"):
        url, method = document.get("url", {}), document["http"]["request"]["method"]
        parts = [method, url.get("domain", NONE), *([url["path"]] if "path" in url else [])]
        yield Fact("http", ends, " ".join(parts))
