"""What sizes tell where only a host name is visible: a photo that goes up is larger than all else a page view sends.

Bytes tell an upload from the rest; they do not tell a short visit from a connection that a browser made ahead of a click.
"""

from __future__ import annotations

from dataclasses import replace

from sentinel.activity.records import Finding
from sentinel.signatures.service import Service
from sentinel.terms import Basis, Stage

HANDSHAKE_UP, HANDSHAKE_DOWN = 8_000, 12_000
"""The most bytes of a connection that may have carried no request. Chromium's own, made for a link that nobody opened, took
2.4 kB up over TCP and 6.3 kB over QUIC, whose path it also probes; down go a certificate chain and session tickets."""


def by_size(finding: Finding, service: Service) -> Finding:
    """Return *finding* with the stage that its sizes bear out.

    It is lowered to a contact where the host alone suggests more and there was perhaps no more than a handshake, as browsers
    make one for a link. It is raised to an inferred upload when the bytes that its client sent fit the service's shape.
    """
    return _raised(_lowered(finding), service)


def _lowered(finding: Finding) -> Finding:
    seen = finding.observation
    # What a proxy logs of a tunnel stands; in a capture, CONNECT says that one was asked for and no more.
    shown = seen.kind in ("tls_client_hello", "quic_client_hello", "flow") or (
        seen.kind == "proxy_connect" and finding.origin.frame is not None
    )
    small = (seen.bytes_up or 0) <= HANDSHAKE_UP and (seen.bytes_down or 0) <= HANDSHAKE_DOWN
    if shown and small and finding.stage > Stage.CONTACT and finding.basis is Basis.INFERRED:
        return replace(finding, stage=Stage.CONTACT, basis=Basis.OBSERVED)
    return finding


def _raised(finding: Finding, service: Service) -> Finding:
    shape = service.activity
    sent = finding.observation.bytes_up
    if finding.observation.bursts:  # many small requests over an hour are no photo
        sent = max(size for _after, size in finding.observation.bursts)
    if shape is None or shape.upload_bytes is None or sent is None or not finding.reached or finding.stage >= Stage.UPLOAD:
        return finding
    at_host = finding.name == shape.host or finding.name.endswith("." + shape.host)
    if at_host and sent >= shape.upload_bytes and finding.observation.kind in ("proxy_connect", "flow", "tls_client_hello"):
        return replace(finding, stage=Stage.UPLOAD, basis=Basis.INFERRED)
    return finding
