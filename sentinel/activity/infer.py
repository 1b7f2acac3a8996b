"""What sizes tell where only a host name is visible: a photo that goes up is larger than all else a page view sends.

Bytes tell an upload from the rest. They do not tell a short visit from a connection that a browser made ahead of a click, nor
a page that was opened from one that was fetched ahead for a link to it. Where two stages look the same, the lower one is told.
"""

from __future__ import annotations

from dataclasses import replace

from sentinel.activity.records import Finding
from sentinel.signatures.service import Service
from sentinel.terms import Basis, Stage

HANDSHAKE_UP, HANDSHAKE_DOWN = 8_000, 12_000
"""The most bytes of a connection that may have carried no request. Chromium's own, made for a link that nobody opened, took
2.4 kB up over TCP and 6.3 kB over QUIC, whose path it also probes; down go a certificate chain and session tickets."""

PAGE_DOWN = 150_000
"""The most bytes of a connection over which one page alone may have come. Chromium fetches a page ahead (`<link rel=prefetch>`,
speculation rules) byte for byte as it does when somebody opens it, but without what belongs to the page: pictures, scripts."""

CONNECTIONS = frozenset({"tls_client_hello", "quic_client_hello", "proxy_connect", "flow"})
"""Kinds that name a host and show no request."""


def by_size(finding: Finding, service: Service) -> Finding:
    """Return *finding* with the stage that its sizes bear out.

    It is lowered to a contact where the host alone suggests more and there was perhaps no more than a handshake, as browsers
    make one for a link. It is raised to an inferred visit when more came than one page, and to an inferred upload when the
    bytes that its client sent fit the service's shape.
    """
    if finding.observation.kind not in CONNECTIONS or not finding.reached:
        return finding
    return _raised(_lowered(finding), service)


def _lowered(finding: Finding) -> Finding:
    seen = finding.observation
    # A proxy's log may lack sizes: then it stands. In a capture, CONNECT says that a tunnel was asked for and no more.
    told = finding.origin.frame is not None or seen.bytes_down is not None
    small = (seen.bytes_up or 0) <= HANDSHAKE_UP and (seen.bytes_down or 0) <= HANDSHAKE_DOWN
    if told and small and finding.stage > Stage.CONTACT and finding.basis is Basis.INFERRED:
        return replace(finding, stage=Stage.CONTACT, basis=Basis.OBSERVED)
    return finding


def _raised(finding: Finding, service: Service) -> Finding:
    if finding.stage < Stage.UPLOAD and _sent_a_photo(finding, service):
        return replace(finding, stage=Stage.UPLOAD, basis=Basis.INFERRED)
    if finding.stage is Stage.CONTACT and (finding.observation.bytes_down or 0) > PAGE_DOWN:
        return replace(finding, stage=Stage.VISIT, basis=Basis.INFERRED)
    return finding


def _sent_a_photo(finding: Finding, service: Service) -> bool:
    shape, seen = service.activity, finding.observation
    if shape is None or shape.upload_bytes is None:
        return False
    # Many small requests over an hour are no photo: what counts is what was sent at once, where that is known.
    sent = max((size for _after, size in seen.bursts), default=seen.bytes_up or 0)
    return sent >= shape.upload_bytes and (finding.name == shape.host or finding.name.endswith("." + shape.host))
