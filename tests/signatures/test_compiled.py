"""The kept rules: never another rule set than the files make, whatever lies in the cache."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.problems import Problems
from sentinel.signatures.compiled import kept_or
from sentinel.signatures.folders import builtin_rules, files_in
from sentinel.signatures.reading import load_catalog

SERVICE = """\
schema: 1
id: some-service
name: Some Service
category: face-search
severity: high
references: [https://faces.example/about]
indicators: [{domain: faces.example}]
tests: {match: [{dns: faces.example}], no_match: [{dns: notfaces.example}]}
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "sentinel-face-search"


@pytest.fixture
def rules(tmp_path):
    """A folder with one service."""
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "some-service.yaml").write_text(SERVICE)
    return tmp_path / "rules"


class Loader:
    """Loads a folder's rules, and counts how often."""

    def __init__(self, folder):
        self.folder, self.times = folder, 0

    def __call__(self):
        self.times += 1
        return load_catalog([self.folder])


def kept(load):
    return kept_or(load, [load.folder], files_in(load.folder))


def test_the_built_in_rules_come_back_as_they_were(cache):
    """A replay must match the same whether it read the files or the cache: digest, indicators, activity."""
    load = Loader(builtin_rules())
    first, second = kept(load), kept(load)
    assert load.times == 1
    assert second.digest == first.digest
    assert second.services == first.services


def test_a_changed_file_is_read_again(cache, rules):
    """A rule that was added today counts today."""
    load = Loader(rules)
    kept(load)
    (rules / "some-service.yaml").write_text(
        SERVICE.replace("domain: faces.example", "domain: www.faces.example, note: x").replace(
            "{dns: faces.example}", "{dns: www.faces.example}"
        )
    )
    assert [i.domain for i in kept(load).services["some-service"].indicators] == ["www.faces.example"]
    (rules / "another.yaml").write_text(SERVICE.replace("some-service", "another"))
    assert set(kept(load).services) == {"some-service", "another"}
    assert load.times == 3


def test_rules_with_mistakes_are_never_kept(cache, rules):
    """Otherwise the second run would start with what the first refused."""
    (rules / "some-service.yaml").write_text(SERVICE.replace("severity: high", "severity: extreme"))
    for _ in range(2):
        with pytest.raises(Problems):
            kept(Loader(rules))


@given(st.binary(max_size=300) | st.sampled_from([b"[]", b"{}", b"null", b'{"key": 1}', b"[" * 100_000]))
def test_whatever_lies_in_the_cache_the_rules_are_those_of_the_files(tmp_path_factory, written):
    """A broken disk or a curious user may leave anything there."""
    with pytest.MonkeyPatch.context() as patch:
        root = tmp_path_factory.mktemp("kept")
        patch.setenv("XDG_CACHE_HOME", str(root))
        folder = root / "rules"
        folder.mkdir()
        (folder / "some-service.yaml").write_text(SERVICE)
        load = Loader(folder)
        digest = kept(load).digest
        next((root / "sentinel-face-search").iterdir()).write_bytes(written)
        assert kept(load).digest == digest
        assert load.times == 2


def test_a_cache_that_another_may_write_is_not_believed(cache, rules):
    """Whoever may write it could make Sentinel blind."""
    load = Loader(rules)
    kept(load)
    file = next(cache.iterdir())
    file.chmod(0o666)
    kept(load)
    assert load.times == 2


def test_services_that_do_not_make_the_kept_digest_are_not_believed(cache, rules):
    """A service taken out of the cache by hand would be a blind spot."""
    load = Loader(rules)
    kept(load)
    file = next(cache.iterdir())
    file.write_text(json.dumps(json.loads(file.read_text()) | {"services": []}))
    assert set(kept(load).services) == {"some-service"}
    assert load.times == 2


def test_without_a_cache_folder_the_files_are_read(monkeypatch, rules):
    """A service user has no home."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert set(kept(Loader(rules)).services) == {"some-service"}
