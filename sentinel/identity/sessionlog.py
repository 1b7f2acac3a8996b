"""Turns what servers tell of people's sessions (RADIUS, VPN, log-ons) into claims, with an end where one is proven.

A session holds from its beginning to the last record that speaks of it. What came after that is not known, unless a record
says that it ended, or for how long it was granted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from sentinel.activity.wording import printable
from sentinel.identity.binding import RECORD_KEPT, Binding


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What one record says of an address. `holds`: the session is there; `ends`: it is over; `all-end`: all of a server's are.

    session: what tells the session apart from another of the same person; None: nothing does.
    claimed: a name that nobody checked, such as the outer identity of EAP.
    since: when the session began, where an end says so.
    """

    kind: Literal["holds", "ends", "all-end"]
    time: datetime  # UTC
    address: str = ""
    user: str | None = None
    claimed: str | None = None
    mac: str | None = None
    device: str | None = None
    session: str | None = None
    server: str | None = None
    since: datetime | None = None
    length: timedelta | None = None  # granted from `time` on
    record: str = ""


@dataclass(slots=True)
class _Held:
    first: Word
    last: Word


def fold(words: Iterable[Word], source: str, what: str, within: timedelta | None = None) -> list[Binding]:
    """Return the claims that the words of one log prove.

    Args:
        words: In any order.
        source: The name of the file.
        what: What the records are, for people: "RADIUS accounting".
        within: How far apart two words of one person may be that are to prove the time between them; None: any time, as they
            name a session.
    """
    done: list[Binding] = []
    held: dict[str, _Held] = {}
    for word in sorted(words, key=lambda one: one.time):
        if word.kind == "all-end":
            for address in [a for a, one in held.items() if one.first.server == word.server]:
                done += _over(held.pop(address), source, what, word.time)
            continue
        before = held.get(word.address)
        same = before is not None and _same(before.last, word, within)
        if word.kind == "ends":
            if before is not None and same:
                done += _over(held.pop(word.address), source, what, word.time)
            elif word.since is not None and word.since < word.time:
                done.append(_claim(word, source, f"{what}, told at its end", word.since, word.time))
        elif before is not None and same:
            before.last = replace(word, mac=word.mac or before.last.mac, device=word.device or before.last.device)
        else:
            if before is not None:
                done += _unfinished(before, source, what)
            held[word.address] = _Held(word, word)
    for one in held.values():
        done += _unfinished(one, source, what)
    return done


def _same(before: Word, word: Word, within: timedelta | None) -> bool:
    if within is not None and word.time - before.time > within:
        return False
    if before.session is not None and word.session is not None:
        return before.session == word.session
    return _who(before) == _who(word)


def _who(word: Word) -> tuple[str | None, ...]:
    name = word.user or word.claimed
    return (name.casefold(), None) if name else (None, word.mac or (word.device or "").casefold())


def _over(held: _Held, source: str, what: str, time: datetime) -> list[Binding]:
    return [_claim(held.last, source, f"{what}, then ended", held.first.time, _until(held.last, time))]


def _until(word: Word, time: datetime) -> datetime:
    granted = _granted(word)
    return min(granted, time) if granted else time


def _granted(word: Word) -> datetime | None:
    try:
        return word.time + word.length if word.length is not None else None
    except OverflowError:
        return None


def _unfinished(held: _Held, source: str, what: str) -> list[Binding]:
    """Return what is known of a session whose end is not: proven until the last word, then as long as that grants."""
    first, last = held.first, held.last
    proven = [_claim(last, source, f"{what}, told again later", first.time, last.time)] if last.time > first.time else []
    return [*proven, _claim(last, source, what, last.time, _granted(last))]


def _claim(word: Word, source: str, basis: str, since: datetime, until: datetime | None) -> Binding:
    calls = f", of somebody who calls himself {printable(word.claimed)}" if word.claimed else ""
    return Binding(
        word.address, word.mac, word.device, word.user, since, until, basis + calls, source, word.record[:RECORD_KEPT],
        word.claimed,
    )  # fmt: skip
