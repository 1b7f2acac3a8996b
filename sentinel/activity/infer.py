"""What sizes tell where only a host name is visible: a photo that goes up is larger than all else a page view sends.

Bytes tell an upload from the rest; they do not tell a short visit from a connection that a browser made ahead of a click.
"""

from __future__ import annotations

from dataclasses import replace

from sentinel.activity.records import Finding
from sentinel.signatures.service import Service
from sentinel.terms import Basis, Stage


def by_size(finding: Finding, service: Service) -> Finding:
    """Return *finding*, raised to an inferred upload when the bytes that its client sent fit the service's activity shape."""
    shape = service.activity
    sent = finding.observation.bytes_up
    if shape is None or shape.upload_bytes is None or sent is None or not finding.reached or finding.stage >= Stage.UPLOAD:
        return finding
    at_host = finding.name == shape.host or finding.name.endswith("." + shape.host)
    if at_host and sent >= shape.upload_bytes and finding.observation.kind in ("proxy_connect", "flow", "tls_client_hello"):
        return replace(finding, stage=Stage.UPLOAD, basis=Basis.INFERRED)
    return finding
