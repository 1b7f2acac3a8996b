"""Detection: sure, specific, and silent where it cannot tell."""

from __future__ import annotations

import dataclasses

from sentinel import formats
from sentinel.formats.detect import candidates, detect
from sentinel.formats.format import cleaned
from tests.formats.samples import DATA, records

BIND = [line for line in records(DATA / "bind_query" / "bind-9.20-time-cat-sev.log") if line]
SQUID = [line for line in records(DATA / "squid_native" / "squid-native.log") if line]
NOISE = [b"Nov 23 06:13:40 mx sshd[1]: connect"] * 20


def names(found):
    """Return the names of ranked formats."""
    return [log_format.name for log_format, _ in found]


def test_nothing_is_told_of_nothing():
    """An empty file, blank lines and NULs have no format."""
    assert detect([]) == detect([b"", b"  ", b"\0\0"]) == []


def test_foreign_lines_among_them_do_not_matter():
    """A shared syslog file holds other programs; half of it has to be ours."""
    assert names(detect(BIND + NOISE)) == ["bind-query"]
    assert detect(BIND[:3] + NOISE) == []
    assert names(candidates(BIND[:3] + NOISE)) == ["bind-query"]


def test_two_formats_in_one_file_are_both_named():
    """A file that several programs write to is read record by record; the larger part comes first."""
    assert names(detect(BIND[:20] + SQUID[:20])) == ["bind-query", "squid-native"]
    assert names(detect(BIND[:15] + SQUID[:20])) == ["squid-native", "bind-query"]


def test_two_formats_that_claim_the_same_lines_leave_it_untold(monkeypatch):
    """Which of them to believe would be a guess; the candidates name both."""
    twin = dataclasses.replace(formats.FORMATS["squid-native"], name="twin")
    monkeypatch.setitem(formats.FORMATS, "twin", twin)
    assert detect(SQUID) == []
    assert names(candidates(SQUID)) == ["squid-native", "twin"]


def test_whatever_a_format_recognises_has_one_of_its_signs():
    """A format that is not asked for want of a sign must have nothing to say: else its logs would be *not understood*."""
    files = [path for path in DATA.rglob("*") if path.is_file() and path.suffix not in (".md", ".jsonl")]
    assert len(files) > 100
    for path in files:
        told = [record for record in map(cleaned, records(path)) if record.strip()][:200]
        text = b"\n".join(told)
        for log_format in formats.FORMATS.values():
            if log_format.signs and not any(sign in text for sign in log_format.signs):
                assert not told or log_format.recognise(told) == 0, (path, log_format.name)
