"""PowerDNS Recursor's log in its three forms."""

from __future__ import annotations

import json

import pytest

from sentinel.formats import powerdns_recursor
from sentinel.formats.format import Malformed, Stream
from tests.formats.samples import clock

QUESTION = (
    'msg="Question" subsystem="syncres" level="0" prio="Info" tid="1" ts="1795415084.403" ecs="" mtid="0" proto="udp" '
    'qname="PimEyes.com" qtype="A" remote="10.0.0.5:34197"'
)


def read(line: str):
    """Return the observations of a line of text."""
    return powerdns_recursor.parse(line.encode(), Stream(clock()))


@pytest.mark.parametrize(
    "before", ["Nov 23 07:24:44 ", "", "Nov 23 07:24:44 ns1 pdns_recursor[7]: ", "<30>Nov 23 07:24:44 ns1 pdns-recursor[7]: "]
)
def test_the_unix_time_inside_wins(before):
    """The date before it has no year and no zone; the time inside needs neither."""
    (seen,) = read(before + QUESTION)
    assert (seen.kind, seen.name, seen.client, seen.client_port) == ("dns_query", "pimeyes.com", "10.0.0.5", 34197)
    assert seen.time.isoformat() == "2026-11-23T06:24:44.403000+00:00"
    assert seen.time_text == "1795415084.403"


def test_the_client_is_who_asked_and_not_the_subnet_it_names():
    """An EDNS client subnet is whatever the asker puts there: it accuses nobody."""
    (seen,) = read(QUESTION.replace('ecs=""', 'ecs="192.0.2.0/24"'))
    assert seen.client == "10.0.0.5"


def test_a_question_and_its_answer_are_one_look_up():
    """The answer is told as one, so that who counts questions counts each once."""
    (seen,) = read(QUESTION.replace('"Question"', '"Answer"') + ' rcode="3"')
    assert (seen.kind, seen.client, seen.action) == ("dns_answer", "10.0.0.5", None)
    (seen,) = read(QUESTION.replace('"Question"', '"Answer"') + ' rcode="5"')
    assert seen.action == "blocked"


def test_what_the_packet_cache_answered_was_asked_too():
    """New versions log it without a question before it."""
    (seen,) = read(QUESTION.replace('"Question"', '"Question answered from packet cache"'))
    assert (seen.kind, seen.client) == ("dns_query", "10.0.0.5")


def test_escapes_are_undone_and_a_dot_in_a_label_is_no_boundary():
    r"""`app\.clearview.ai` is a name below .ai."""
    (seen,) = read(QUESTION.replace("PimEyes.com", r"app\\.clearview.ai"))
    assert seen.name == r"app\046clearview.ai"


@pytest.mark.parametrize(
    ("line", "client", "port"),
    [
        ("Nov 23 06:16:22 1 [1/1] question for 'pimeyes.com|A' from 10.0.0.5:50406", "10.0.0.5", 50406),
        ("Nov 23 06:16:22 1 [26/1] TCP question for 'pimeyes.com|A' from [2001:db8:20::11]:44455", "2001:db8:20::11", 44455),
        ("Nov 23 06:16:22 ns1 pdns_recursor[9]: 3 [7/1] question for 'pimeyes.com|A' from 10.0.0.5:1", "10.0.0.5", 1),
    ],
)
def test_prose(line, client, port):
    """Versions before 4.8, and later ones with `structured-logging=no`; the time is local and has no year."""
    (seen,) = read(line)
    assert (seen.client, seen.client_port, seen.name, seen.query_type) == (client, port, "pimeyes.com", "A")
    assert seen.time.isoformat() == "2026-11-23T05:16:22+00:00"


@pytest.mark.parametrize(
    "line",
    [
        "Nov 23 06:16:22 1 [1/1] answer to question 'pimeyes.com|A': 0 answers, 1 additional, took 0 packets, rcode=3",
        "Nov 23 06:16:23 1 question answered from packet cache tag=0 from 10.20.30.200:46006",
        "Nov 23 06:16:20 Listening for UDP queries on 10.20.30.62:53",
        "Nov 23 06:16:20 allow-from: 0.0.0.0/0, ::/0",
        'Nov 23 06:15:23 msg="Redirecting queries" subsystem="config" level="0" tid="0" ts="1795410923.520" zone="."',
    ],
)
def test_other_messages_tell_of_nobody(line):
    """An answer in prose does not say who asked; start-up messages are the recursor's own."""
    assert read(line) == ()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Nov 23 06:13:38 ns1 sshd[1]: question for 'pimeyes.com|A' from 10.0.0.5:50406",
        QUESTION.partition(" remote")[0],
        QUESTION.replace("10.0.0.5:34197", "10.0.0.5"),
        QUESTION.replace("1795415084.403", "99999999999999999"),
    ],
)
def test_another_shape_is_malformed(line):
    """Nothing is guessed from half a line."""
    with pytest.raises(Malformed):
        read(line)


@pytest.mark.parametrize("line", ["", "[]", "{", "{}", '"x"', "[" * 100_000, '{"msg":1,"level":"0","ts":"1","tid":"1"}'])
def test_json_of_another_kind_is_malformed(line):
    """Deep nesting ends a careless reader."""
    with pytest.raises(Malformed):
        powerdns_recursor.parse_json(line.encode(), Stream(clock()))


def test_json_in_a_syslog_line():
    """A journal hands the objects on with a header."""
    event = json.dumps(
        {"msg": "Question", "level": "0", "tid": "1", "ts": "1795415084.938", "qname": "a.b", "remote": "[::1]:5"}
    )
    (seen,) = powerdns_recursor.parse_json(f"Nov 23 07:24:44 ns1 pdns_recursor[7]: {event}".encode(), Stream(clock()))
    assert (seen.client, seen.client_port, seen.name, seen.resolver) == ("::1", 5, "a.b", "ns1")
