"""CoreDNS's `log` plugin in its default and `combined` forms: one line for each question, written with its answer.

    [INFO] 10.0.0.5:50759 - 29008 "A IN pimeyes.com. udp 41 false 4096" NOERROR qr,rd,ra 68 0.037990251s

The line carries no time of its own. Old versions put one before it, and so do container runtimes.

Reference: https://coredns.io/plugins/log/
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from sentinel.formats.envelope import peel
from sentinel.formats.format import LogFormat, Malformed, Stream, as_text
from sentinel.formats.names import written_name
from sentinel.formats.pattern import Pattern
from sentinel.formats.times import ISO, read_time
from sentinel.observation import Observation

_RUNTIME = Pattern(rf"(?:(?P<time>{ISO}|\d{{4}}/\d\d/\d\d \d\d:\d\d:\d\d) )(?:std(?:out|err) [FP] )?", re.ASCII)
_LEVEL = Pattern(r"\[(?:DEBUG|INFO|WARNING|ERROR|FATAL|NOTICE|WARN)\] ")
_ACCESS = Pattern(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45}(?:%[\w.-]{1,20})?)\]|(?P<v4>[\d.]{7,15})):(?P<port>\d{1,5}) - (?P<id>\d{1,5}) "
    r'"(?P<type>[A-Z][A-Z0-9-]*) (?P<class>[A-Z0-9]{2,10}) (?P<name>.+) (?P<proto>udp|tcp|tls|https|quic|grpc) '
    r'(?P<up>\d{1,6}) (?:true|false|-) \d{1,6}" (?:(?P<opcode>\d{1,2}) )?(?P<rcode>-|[A-Z]{2,12}\d*) (?P<flags>[a-z,-]*) '
    r"(?P<down>\d{1,6}) (?P<took>\d{1,6}(?:\.\d{1,12})?(?:e-\d{2})?)s(?: .*)?\Z",
    re.ASCII,
)
_PLUGIN = Pattern(r"(?:plugin/[a-z0-9_]+|SIGTERM|Reloading|Corefile|CoreDNS-\d)", re.ASCII)


def recognise(records: Sequence[bytes]) -> float:
    """Return the share of *records* that CoreDNS wrote, 0.0 to 1.0; 0.0 also when none of them tells of a question."""
    own = asks = 0
    for record in records:
        _time, _host, message = _peeled(as_text(record))
        asked = message is not None and _ACCESS.match(message) is not None
        asks += asked
        own += asked or (message is not None and _PLUGIN.match(message) is not None)
    return own / len(records) if asks else 0.0


def parse(record: bytes, stream: Stream) -> Sequence[Observation]:
    """Read one line. A time before it was given when it was written, which is after the answer: the start lies before that.

    Raises:
        Malformed: Not a line of CoreDNS's, or a question that breaks off.
    """
    time_text, host, message = _peeled(as_text(record))
    if message is None:
        raise Malformed("no '[LEVEL] ADDRESS:PORT - ID \"TYPE CLASS NAME ...\"'")
    found = _ACCESS.match(message)
    if found is None:
        if _PLUGIN.match(message) or '" ' not in message:
            return ()  # errors of plugins, start-up
        raise Malformed("a question that breaks off")
    duration = float(found["took"])
    written = read_time(time_text.replace("/", "-"), stream.clock) if time_text else stream.clock.undated()
    return (
        Observation(
            time=written - timedelta(seconds=duration),
            time_text=time_text,
            kind="dns_query",
            client=found["v6"] or found["v4"],
            client_port=int(found["port"]),
            name=written_name(found["name"]),
            query_type=found["type"],
            duration=duration,
            action="blocked" if found["rcode"] == "REFUSED" else None,
            resolver=host,
        ),
    )


def _peeled(text: str) -> tuple[str | None, str | None, str | None]:
    """Return time, host and the message behind its level; no message for what is not CoreDNS's."""
    time_text, host = None, None
    runtime = _RUNTIME.match(text)
    if runtime is not None:
        time_text, text = runtime["time"], text[runtime.end() :]
    level = _LEVEL.match(text)
    if level is None and runtime is None:
        peeled = peel(text)
        time_text, host, text = peeled.time_text, peeled.host, peeled.message
        level = _LEVEL.match(text)
    return time_text, host, text[level.end() :] if level else None


FORMAT = LogFormat(
    name="coredns",
    title="CoreDNS log plugin",
    reference="https://coredns.io/plugins/log/",
    recognise=recognise,
    signs=(b' "',),
    parse=parse,
    yields=("dns_query",),
)
