"""Containers: their records are found, with their own bytes and a place where they can be found again; damage is told."""

from __future__ import annotations

import gzip
import io
import itertools
import sqlite3
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.config.rules import load_rules
from sentinel.extract import Extractor, Ruling
from sentinel.formats.event_chunks import Event, events
from sentinel.policy.policy import Policy
from sentinel.sources.archive import Archive
from sentinel.sources.containers import container_in
from sentinel.sources.conversation import Frames
from sentinel.sources.databases import read
from sentinel.sources.frame_streams import CONTENT_TYPE, START, STOP, FrameStream, control
from sentinel.sources.framing import Desynchronised

DATA = Path(__file__).parents[1] / "data" / "formats"
DNSTAP = DATA / "dnstap" / "unbound.dnstap"
EVTX = Path(__file__).parents[1] / "data" / "identity" / "new-user-security.evtx"
CHROME_EPOCH = 11644473600


def placed(path):
    """Return place and own bytes of all records in a file, and what was lost."""
    records, losses = [], []
    for batch in Archive(str(path)).batches():
        losses += [loss.reason for loss in batch.losses]
        cuts = batch.cuts
        for nth, place in enumerate(cuts.places):
            raw = cuts.raws[nth] if cuts.raws else bytes(batch.data[cuts.starts[nth] : cuts.ends[nth]])
            records.append((place, raw))
    return records, losses


@pytest.fixture(scope="module")
def ruling():
    """Return the built-in rules, compiled."""
    return Ruling.of(load_rules([], builtin=True), Policy())


def findings(ruling, path, *, thorough=False):
    """Return what a replay finds in a file."""
    extractor = Extractor(ruling, thorough=thorough)
    return [one.finding for batch in Archive(str(path)).batches() for one in extractor.take(batch)[0]]


def test_a_frame_is_found_again_at_its_place():
    """Evidence that nobody can look up is none."""
    data = DNSTAP.read_bytes()
    records, losses = placed(DNSTAP)
    assert len(records) > 20
    assert losses == []
    for place, raw in records:
        assert struct.unpack_from(">I", data, place) == (len(raw),)
        assert data[place + 4 : place + 4 + len(raw)] == raw


def test_an_event_is_found_again_at_its_place():
    """The event's own bytes are kept, not what a library made of them."""
    data = EVTX.read_bytes()
    records, losses = placed(EVTX)
    assert (len(records), losses) == (4, [])
    for place, raw in records:
        assert data[place : place + len(raw)] == raw
        assert raw.startswith(b"**\0\0")


def test_containers_are_read_inside_archives(tmp_path):
    """Forensic collections are zip files, and rotation compresses."""
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as collected:
        collected.write(DNSTAP, "dns/unbound.dnstap")
        collected.write(EVTX, "logs/Security.evtx")
    (tmp_path / "unbound.dnstap.gz").write_bytes(gzip.compress(DNSTAP.read_bytes()))
    zipped = list(Archive(str(tmp_path / "c.zip")).batches())
    paths = {batch.input.path.partition("!")[2]: batch.input.format for batch in zipped}
    assert paths == {"dns/unbound.dnstap": "dnstap", "logs/Security.evtx": "windows-event"}
    assert placed(tmp_path / "unbound.dnstap.gz") == placed(DNSTAP)


def test_a_cut_file_of_frames_is_read_to_the_cut_and_told(tmp_path):
    """A resolver that is killed writes no end."""
    data = DNSTAP.read_bytes()
    (tmp_path / "cut.dnstap").write_bytes(data[:-60])
    records, losses = placed(tmp_path / "cut.dnstap")
    assert records == placed(DNSTAP)[0][: len(records)]
    assert losses == ["the file ends inside a frame"]


def test_a_damaged_event_log_gives_what_it_still_holds(tmp_path):
    """A log from a crashed machine: broken chunks are told, and never the whole file given up."""
    data = bytearray(EVTX.read_bytes())
    (tmp_path / "cut.evtx").write_bytes(bytes(data[: 4096 + 20_000]))
    _records, losses = placed(tmp_path / "cut.evtx")
    assert losses
    (tmp_path / "none.evtx").write_bytes(b"ElfFile\0" + bytes(100))
    assert placed(tmp_path / "none.evtx")[1]


@given(st.lists(st.tuples(st.integers(8, 30_000), st.binary(min_size=1, max_size=8)), max_size=12), st.integers(0, 69_632))
def test_a_damaged_event_log_is_events_or_told_and_ends(changes, length):
    """Lists inside a chunk can be made to lead in a circle; nothing of a file may keep the reading for ever."""
    data = bytearray(EVTX.read_bytes())
    for at, junk in [*changes, (4096 + 128, b"\x28")]:
        data[at : at + len(junk)] = junk
    whole = list(events(io.BytesIO(bytes(data[:length]))))
    assert len([one for one in whole if isinstance(one, Event)]) <= 4
    assert whole or length > 4096


def labels(name, at, known):
    """Write a name at the offset *at* of a message, as short as pointers to names before make it."""
    parts = name.split(".")
    wire = b""
    for nth, part in enumerate(parts):
        rest = ".".join(parts[nth:]).lower()
        if rest in known:
            return wire + struct.pack(">H", 0xC000 | known[rest])
        known[rest] = at + len(wire)
        wire += bytes([len(part)]) + part.encode()
    return wire + b"\0"


def answer(question, alias):
    """Write an answer: the name asked for is an alias of another, whose end may be a pointer into the first."""
    known = {}
    message = struct.pack(">HHHHHH", 7, 0x8180, 1, 1, 0, 0)
    message += labels(question, 12, known) + struct.pack(">HH", 1, 1)
    owner = labels(question, len(message), known)
    begin = len(message) + len(owner) + 10
    target = labels(alias, begin, known)
    return message + owner + struct.pack(">HHIH", 5, 1, 60, len(target)) + target


def field(number, value):
    """Write a protobuf field of bytes."""
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def varint(value):
    """Write a protobuf number."""
    wire = b""
    while value > 0x7F:
        wire += bytes([value & 0x7F | 0x80])
        value >>= 7
    return wire + bytes([value])


def frame(message):
    """Write a client's answer as dnstap."""
    inner = b"\x08\x06" + field(4, bytes([10, 0, 0, 5])) + b"\x60" + varint(1795411169) + field(14, message)
    return b"\x72" + varint(len(inner)) + inner + b"\x78\x01"


LABEL = st.sampled_from(["a", "www", "app", "clearview", "pimeyes", "notclearview", "example"])
NAME = st.builds(
    lambda labels, end: ".".join([*labels, end]),
    st.lists(LABEL, max_size=3),
    st.sampled_from(["clearview.ai", "ClearView.AI", "ai", "pimeyes.com", "com", "facecheck.id", "notclearview.ai", "x.org"]),
)


@given(st.lists(st.tuples(NAME, NAME), min_size=1, max_size=8))
def test_the_scanner_finds_in_frames_all_that_reading_every_frame_finds(ruling, tmp_path_factory, names):
    """Names are spelled with lengths, in any letter case, and may end in a pointer to where they go on."""
    frames = [frame(answer(question, alias)) for question, alias in names]
    path = tmp_path_factory.mktemp("made") / "made.dnstap"
    body = b"".join(struct.pack(">I", len(one)) + one for one in frames)
    path.write_bytes(control(START, CONTENT_TYPE) + body + control(STOP))
    found = [(one.origin.offset, one.service) for one in findings(ruling, path)]
    assert found == [(one.origin.offset, one.service) for one in findings(ruling, path, thorough=True)]
    watched = ("clearview.ai", "pimeyes.com", "facecheck.id")
    hits = [any(f".{name.lower()}".endswith(f".{one}") for one in watched for name in both) for both in names]
    assert len({offset for offset, _service in found}) == sum(hits)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_any_bytes_are_frames_or_the_one_error(data, cuts):
    """What strangers send ends their own connection at most, and is the same in any pieces."""
    begin = control(START, CONTENT_TYPE)
    whole = begin + data

    def fed(pieces):
        stream, found = FrameStream(100), []
        try:
            for piece in pieces:
                found += stream.feed(piece)
        except Desynchronised:
            return None
        return found

    edges = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    pieces = [whole[a:b] for a, b in itertools.pairwise(edges)]
    one, many = fed([whole]), fed(pieces)
    assert (one is None) == (many is None)
    assert one == many


def test_the_handshake_of_a_socket_is_answered():
    """Writers wait for ACCEPT before they send, and for FINISH before they go."""
    talk = Frames(100)
    assert talk.take(control(4, CONTENT_TYPE)) == []
    assert bytes(talk.replies) == control(1, CONTENT_TYPE)
    talk.replies.clear()
    assert talk.take(control(START, CONTENT_TYPE) + b"\0\0\0\x03abc" + control(STOP)) == [(b"abc", None)]
    assert (bytes(talk.replies), talk.over) == (control(5), True)
    with pytest.raises(Desynchronised):
        Frames(100).take(control(START, b"protobuf:other"))


def history(path, *, journal="delete"):
    """Make a browser's history with one visit, and return the open database."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(f"PRAGMA journal_mode={journal}")
    database.execute("CREATE TABLE urls(id INTEGER PRIMARY KEY, url LONGVARCHAR)")
    database.execute("CREATE TABLE visits(id INTEGER PRIMARY KEY, url INTEGER, visit_time INTEGER, transition INTEGER)")
    visit(database, 1)
    return database


def visit(database, number):
    """Add a visit."""
    database.execute("INSERT INTO urls VALUES(?, ?)", (number, f"https://pimeyes.com/en/{number}"))
    database.execute("INSERT INTO visits VALUES(?, ?, ?, 1)", (number, number, (CHROME_EPOCH + 1795411169) * 1_000_000))


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_history_is_read_while_its_browser_holds_it_and_stays_as_it_is(tmp_path, ruling, journal):
    """Browsers lock their history for as long as they run; what was not written back yet lies in a journal beside it."""
    path = tmp_path / "History"
    program = (
        "import sqlite3, sys\n"
        f"d = sqlite3.connect({str(path)!r}, isolation_level=None)\n"
        "d.execute('PRAGMA locking_mode=EXCLUSIVE')\n"
        "d.execute('BEGIN EXCLUSIVE')\n"
        "d.execute(\"INSERT INTO urls VALUES(2, 'https://pimeyes.com/en/2')\")\n"
        "d.execute('INSERT INTO visits VALUES(2, 2, 13439884770000000, 1)')\n"
        "d.execute('COMMIT')\n"
        "d.execute('BEGIN EXCLUSIVE')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    history(path, journal=journal).close()
    holder = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        before = {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in tmp_path.iterdir()}
        assert [one.origin.offset for one in findings(ruling, path)] == [1, 2]
        assert {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in tmp_path.iterdir()} == before
    finally:
        holder.communicate()


def test_a_history_that_a_crash_left_with_a_hot_journal_is_read_as_its_browser_would(tmp_path):
    """What was half written is taken back, in a copy: the evidence keeps its journal."""
    path, copy = tmp_path / "History", tmp_path / "copy"
    copy.mkdir()
    database = history(path)
    database.execute("PRAGMA cache_size=1")
    database.execute("BEGIN")
    for number in range(2, 3000):
        visit(database, number)
    for name in ("History", "History-journal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    database.execute("ROLLBACK")
    database.close()
    rows = [place for part in read(str(copy / "History")) for place in part.places]
    assert rows == [1]
    assert (copy / "History-journal").stat().st_size > 0


def test_rows_behind_a_mark_are_read_alone_unless_the_database_was_begun_anew(tmp_path):
    """A followed database is not read from its beginning each time; one that was cleared counts its rows anew."""
    path = str(tmp_path / "History")
    database = history(path)
    mark = [part.mark for part in read(path)][-1]
    visit(database, 5)
    assert [part.places for part in read(path, mark) if part.places] == [[5]]
    database.execute("DELETE FROM visits")
    database.execute("INSERT INTO visits VALUES(1, 5, 7, 1)")
    assert [part.places for part in read(path, mark) if part.places] == [[1]]
    database.close()


@pytest.mark.parametrize("content", [b"SQLite format 3\0", b"SQLite format 3\0" + bytes(4000), None])
def test_a_database_that_is_none_or_another_is_told(tmp_path, content):
    """It is not understood; it must not look clean."""
    path = tmp_path / "places.sqlite"
    if content is None:
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE recipes(id INTEGER)")
        database.commit()
        database.close()
    else:
        path.write_bytes(content)
    records, losses = placed(path)
    assert records == []
    assert len(losses) == 1


def test_text_is_no_container():
    """A log must never be taken for one."""
    for path in (DATA / "squid_native").iterdir():
        assert container_in(path.read_bytes()[:512]) is None
