"""What sizes tell: a photo from a page view, and a page view from a handshake that a browser made for a link."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sentinel.activity.infer import HANDSHAKE_DOWN, HANDSHAKE_UP, PAGE_DOWN, by_size
from sentinel.activity.records import Finding, Origin
from sentinel.observation import Observation
from sentinel.signatures.service import Service
from sentinel.terms import Basis, Stage

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOST = "app.clearview.ai"
SERVICE = Service.of(
    {
        "id": "clearview-ai", "name": "Clearview AI", "category": "face-search", "severity": "critical", "indicators": [],
        "activity": {"host": HOST, "upload_bytes": {"at_least": 20_000}},
    }
)  # fmt: skip
FRAME, LINE = Origin(path="day.pcap", frame=1), Origin(path="access.log", offset=0)


def judged(
    kind: str,
    *,
    up: int | None = None,
    down: int | None = None,
    bursts: tuple[tuple[float, int], ...] = (),
    origin: Origin = FRAME,
    **known,
) -> tuple[Stage, Basis]:
    """Return the stage of a finding by a host that suggests a log-in, after its sizes were looked at."""
    values = {"stage": Stage.LOGIN, "basis": Basis.INFERRED, "reached": True} | known
    seen = Observation(time=NOW, kind=kind, name=HOST, bytes_up=up, bytes_down=down, bursts=bursts)  # type: ignore[arg-type]
    finding = Finding(
        id="fi_1", observation=seen, service="clearview-ai", category="face-search", indicator=f"host {HOST}", name=HOST,
        origin=origin, raw=b"", sha256="", parser="packets/1", ruleset="", arrived=NOW, **values,
    )  # fmt: skip
    found = by_size(finding, SERVICE)
    return found.stage, found.basis


@pytest.mark.parametrize("kind", ["tls_client_hello", "quic_client_hello", "proxy_connect", "flow"])
def test_a_handshake_alone_is_a_contact(kind):
    """A page that preconnects to the product's host logs nobody in: accusing a reader of a news page is the worst mistake."""
    assert judged(kind) == (Stage.CONTACT, Basis.OBSERVED)


def test_more_bytes_than_a_handshake_takes_let_the_host_speak():
    """Nobody is at the product's own host for long but to log in or to search."""
    assert judged("flow", up=3000, down=HANDSHAKE_DOWN) == (Stage.CONTACT, Basis.OBSERVED)
    assert judged("flow", up=3000, down=HANDSHAKE_DOWN + 1) == (Stage.LOGIN, Basis.INFERRED)
    assert judged("flow", up=HANDSHAKE_UP + 1) == (Stage.LOGIN, Basis.INFERRED)


def test_a_photo_goes_up():
    """300 kB up is no page view, whatever stage the host suggested."""
    assert judged("flow", up=312_000, down=4000) == (Stage.UPLOAD, Basis.INFERRED)
    assert judged("flow", up=312_000, stage=Stage.CONTACT, basis=Basis.OBSERVED) == (Stage.UPLOAD, Basis.INFERRED)
    assert judged("flow", up=312_000, stage=Stage.LOOKUP, basis=Basis.OBSERVED, reached=False)[0] is Stage.LOOKUP


def test_what_a_record_says_is_not_lowered():
    """Only a guess by the host is. A log without sizes and a request stand, and a mail is no connection."""
    assert judged("proxy_connect", origin=LINE) == (Stage.LOGIN, Basis.INFERRED)
    assert judged("http_request", up=0) == (Stage.LOGIN, Basis.INFERRED)
    assert judged("mail") == (Stage.LOGIN, Basis.INFERRED)
    assert judged("tls_client_hello", basis=Basis.OBSERVED) == (Stage.LOGIN, Basis.OBSERVED)


def test_many_small_requests_are_no_photo():
    """A page that asks for news every few seconds sends a photo's bytes within the hour, but never at once."""
    polling = tuple((5.0 * n, 900) for n in range(100))
    assert judged("flow", up=90_000, down=90_000, bursts=polling)[0] is Stage.LOGIN
    assert judged("flow", up=90_000, down=90_000, bursts=(*polling, (700.0, 30_000)))[0] is Stage.UPLOAD


def test_a_proxy_logs_the_tunnel_that_a_browser_opened_ahead():
    """Browsers preconnect through a proxy as well, and its log says how little came back."""
    assert judged("proxy_connect", origin=LINE, down=1500) == (Stage.CONTACT, Basis.OBSERVED)
    assert judged("proxy_connect", origin=LINE, down=HANDSHAKE_DOWN + 1) == (Stage.LOGIN, Basis.INFERRED)


@pytest.mark.parametrize("kind", ["proxy_connect", "flow"])
def test_more_than_one_page_is_a_visit(kind):
    """One page is fetched ahead of a click byte for byte as by a visitor; its pictures and scripts come to visitors alone."""
    contact = {"stage": Stage.CONTACT, "basis": Basis.OBSERVED}
    assert judged(kind, up=3000, down=PAGE_DOWN, **contact) == (Stage.CONTACT, Basis.OBSERVED)
    assert judged(kind, up=3000, down=PAGE_DOWN + 1, **contact) == (Stage.VISIT, Basis.INFERRED)
    assert judged(kind, up=3000, down=PAGE_DOWN + 1) == (Stage.LOGIN, Basis.INFERRED)
    refused = judged(kind, down=PAGE_DOWN + 1, stage=Stage.LOOKUP, basis=Basis.OBSERVED, reached=False)
    assert refused[0] is Stage.LOOKUP
