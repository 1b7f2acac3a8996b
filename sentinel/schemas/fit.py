"""Makes a document fit where it goes: what describes is shortened, what identifies never is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sentinel.activity.records import Alert, Session
from sentinel.schemas.text import clean, cut

Schema = Callable[[Alert, str], bytes]
"""An alert, and the name of the machine that raised it -> one document without line breaks."""

STEPS = (1000, 200, 60, 20)
"""Bytes that a description may keep, tried one after the other."""

NAMES = 10
"""Hosts and users that a shortened document lists; the store has them all."""


def fitted(schema: Schema, alert: Alert, sensor: str, room: int) -> bytes:
    """Return *alert* as *schema* gives it, with descriptions shortened until the document has at most *room* bytes.

    Ids, times, addresses, stage and verdict stay. 2048 bytes are always enough for them.
    """
    document = schema(alert, sensor)
    for most in STEPS:
        if len(document) <= room:
            break
        document = schema(_shortened(alert, most), cut(clean(sensor), most))
    return document


def _shortened(alert: Alert, most: int) -> Alert:
    return replace(
        alert,
        text=cut(clean(alert.text), most),
        url=_whole(alert.url, most),
        method=_whole(alert.method, most),
        extra={},
        session=_shortened_session(alert.session, most) if alert.session else None,
    )


def _shortened_session(session: Session, most: int) -> Session:
    few = min(NAMES, most // 20)
    return replace(
        session,
        user=_short(session.user, most),
        device=_short(session.device, most),
        network=_short(session.network, most),
        service_name=cut(clean(session.service_name), most),
        reason=cut(clean(session.reason), most),
        names=tuple(name for name in session.names if _whole(name, most))[:few],
        users=tuple(cut(clean(user), most) for user in session.users[:few]),
    )


def _short(text: str | None, most: int) -> str | None:
    return None if text is None else cut(clean(text), most)


def _whole(text: str | None, most: int) -> str | None:
    """Return *text*, or None when it is longer: half a URL or host name is another one."""
    return text if text is not None and len(clean(text).encode()) <= most else None
