"""An observation as an ECS document, the form that `sentinel observe` prints. https://www.elastic.co/guide/en/ecs/current/"""

from __future__ import annotations

from datetime import UTC
from typing import Any

from sentinel.activity.records import Origin
from sentinel.observation import Observation, ip_address
from sentinel.schemas.text import present

DNS = frozenset({"dns_query", "dns_answer", "process_dns"})
HELLOS = frozenset({"tls_client_hello", "quic_client_hello"})


def document(seen: Observation, origin: Origin) -> dict[str, Any]:
    """Return what *seen* says under ECS's names; what the record does not say is left out."""
    doc: dict[str, Any] = {
        "@timestamp": seen.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "event": {"action": seen.kind, "outcome": _outcome(seen)},
        "source": {"ip": seen.client, "port": seen.client_port, "bytes": seen.bytes_up, "packets": seen.packets_up},
        "destination": {"ip": seen.server, "port": seen.server_port, "bytes": seen.bytes_down, "packets": seen.packets_down},
        "user": {"name": seen.user},
        "host": {"name": seen.device},
        "http": {"request": {"method": seen.method}, "response": {"status_code": seen.status or None}},
        "user_agent": {"original": seen.user_agent},
        "log": {"file": {"path": origin.path}, "offset": origin.offset},
        "sentinel": {"frame": origin.frame, "time_text": seen.time_text, "claimed_user": seen.claimed_user, "flow": seen.flow},
    }
    if seen.duration is not None:
        doc["event"]["duration"] = round(seen.duration * 1_000_000_000)
    if seen.kind in DNS:
        doc["dns"] = _dns(seen)
    elif seen.kind in HELLOS:
        doc["tls"] = {"client": {"server_name": seen.name, "ja4": seen.ja4}}
        doc["sentinel"] |= {"ech": seen.ech or None, "alpn": list(seen.alpn) or None}
        doc["network"] = {"transport": "udp" if seen.kind == "quic_client_hello" else "tcp"}
    elif seen.kind in ("http_request", "proxy_connect"):
        doc["url"] = {"full": seen.url, "domain": seen.name, "path": seen.path, "query": seen.query}
    elif seen.name:
        doc["destination"]["domain"] = seen.name
    if seen.bursts:
        doc["sentinel"]["bursts"] = [{"after": after, "bytes": size} for after, size in seen.bursts]
    if seen.name_inferred:
        doc["sentinel"]["name_inferred"] = True
    if seen.names:
        doc["sentinel"]["names"] = list(seen.names)
    return present(doc)


def _dns(seen: Observation) -> dict[str, Any]:
    addresses = [answer for answer in seen.answers if ip_address(answer)]
    return {
        "question": {"name": seen.name, "type": seen.query_type},
        "answers": [{"data": answer} for answer in seen.answers] or None,
        "resolved_ip": addresses or None,
    }


def _outcome(seen: Observation) -> str | None:
    return {"allowed": "success", "blocked": "failure", "challenged": "failure", "failed": "failure"}.get(seen.action or "")
