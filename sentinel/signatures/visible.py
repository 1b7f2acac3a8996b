"""What of a service shows where, from DNS to a proxy that looks inside and the mail gateway, and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sentinel.observation import Kind, Observation
from sentinel.signatures.catalog import Catalog
from sentinel.signatures.matcher import Match, Matcher
from sentinel.signatures.service import Indicator, Service
from sentinel.terms import Basis, Stage

SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sight:
    """One thing that shows, how far it proves that somebody got, how that is known, and what the rule notes of it."""

    what: str
    stage: Stage
    basis: Basis
    note: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """What shows to one kind of observer, and in sentences what does not."""

    observer: str
    sights: list[Sight]
    hidden: list[str]


def views(service: Service) -> list[View]:
    """Return what of *service* shows to whom, from the one who sees least to the one who sees most, and in the mail."""
    return [
        _view(
            service, "DNS: queries and answers", _by_name(service, "dns_query", noted=True),
            "whether anything was reached: browsers look up links that nobody opened",
            "what is asked of a resolver outside by DoH or DoT",
        ),
        _view(
            service, "TLS or QUIC handshake: the server's name (SNI)", _by_handshake(service),
            "the name, where the client encrypts it (ECH)",
        ),
        _view(service, "Proxy that does not look inside: tunnels (CONNECT) with their sizes", _by_tunnel(service)),
        _requests(service),
        _mails(service),
    ]  # fmt: skip


def _view(service: Service, observer: str, sights: Iterator[Sight], *blind: str) -> View:
    shown = list(sights)
    if not shown:
        return View(observer, [], [_nothing(service)])
    asked = {Stage.of(one.stage) for one in service.indicators if one.url and Stage.of(one.stage) > Stage.VISIT}
    missing = ", ".join(stage.word for stage in sorted(asked - {sight.stage for sight in shown}))
    return View(observer, shown, [*blind, *([f"{missing}: a proxy that inspects TLS sees them"] if missing else [])])


def _nothing(service: Service) -> str:
    if any(indicator.url for indicator in service.indicators):
        return "anything: its hosts alone prove nothing, so that only requests are matched"
    return "anything: no host of its own is known"


def _requests(service: Service) -> View:
    shown = list(_by_request(service))
    blind = "what stands behind the # of a URL, and what a request carries inside" if shown else _nothing(service)
    return View("Proxy that inspects TLS, or plain HTTP: requests", shown, [blind])


def _mails(service: Service) -> View:
    shown = list(_by_mail(service))
    return View("Mail gateway: senders", shown, [] if shown else ["anything: no sender of its own is known"])


def _by_name(service: Service, kind: Kind, *, noted: bool = False) -> Iterator[Sight]:
    for indicator in service.indicators:
        for name, what in _named(indicator):
            for match in _matches(service, indicator, Observation(time=SOME_TIME, kind=kind, name=name)):
                yield Sight(what, match.stage, match.basis, (noted and indicator.note) or "")


def _by_handshake(service: Service) -> Iterator[Sight]:
    for sight in _by_name(service, "tls_client_hello"):
        # Browsers finish one for a link that nobody opened: see `activity.infer`.
        yield Sight(sight.what, min(sight.stage, Stage.CONTACT), Basis.OBSERVED, sight.note)
    yield from _by_size(service)


def _by_tunnel(service: Service) -> Iterator[Sight]:
    yield from _by_name(service, "proxy_connect")
    yield from _by_size(service)


def _by_size(service: Service) -> Iterator[Sight]:
    shape = service.activity
    if shape and shape.upload_bytes:
        what = f"{shape.host}, with {shape.upload_bytes:,} bytes or more sent at once"
        yield Sight(what, Stage.UPLOAD, Basis.INFERRED, "a photo is larger than all else that goes up")


def _by_request(service: Service) -> Iterator[Sight]:
    for indicator in service.indicators:
        if indicator.url:
            basis = Basis(indicator.basis) if indicator.basis else Basis.OBSERVED
            notes = [indicator.note or ""]
            notes += ["asked again and again for one result: counted once in a session"] if indicator.polled else []
            notes += ["always critical"] if indicator.secret else []
            stage = max(Stage.of(indicator.stage), Stage.VISIT)
            yield Sight(indicator.label.removeprefix("url "), stage, basis, "; ".join(filter(None, notes)))
    for sight in _by_name(service, "http_request"):
        yield Sight(f"any other request to {sight.what}", sight.stage, sight.basis)


def _by_mail(service: Service) -> Iterator[Sight]:
    for indicator in service.indicators:
        if indicator.mail_from:
            yield Sight(f"{indicator.mail_from} and below", Stage.of(indicator.stage), Basis.INFERRED, indicator.note or "")


def _named(indicator: Indicator) -> Iterator[tuple[str, str]]:
    """Yield a name that the indicator matches, and how to say which ones it does."""
    if indicator.domain:
        yield indicator.domain, f"{indicator.domain} and below"
    name = indicator.host or indicator.host_pattern
    if name:
        yield name.replace("*", "x"), name


def _matches(service: Service, indicator: Indicator, seen: Observation) -> list[Match]:
    """Return what live traffic would make of it: of this indicator, whatever else the service has."""
    alone = Service.of(
        {**service.described, "indicators": [one for one in service.described["indicators"] if Indicator.of(one) == indicator]}
    )
    return Matcher(Catalog.of([alone])).match(seen)
