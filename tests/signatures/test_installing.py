"""Installing packs: never backwards, never expired, and a crash leaves the old or the new."""

import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sentinel.signatures.catalog import Catalog
from sentinel.signatures.installing import install, loss
from sentinel.signatures.pack import BadPackError, build, opened, read_pack
from sentinel.signatures.service import Service
from sentinel.signatures.trust import key_id

KEY = Ed25519PrivateKey.generate()
TRUSTED = {key_id(KEY.public_key()): KEY.public_key()}
NOW = datetime(2026, 3, 1, 14, tzinfo=UTC)


def made(version, content=b"schema: 1\n"):
    data = build({"a.yaml": content}, KEY, name="r", version=version, created=NOW, expires=NOW + timedelta(days=90))
    return data, opened(data, TRUSTED, "r")


def test_a_newer_pack_replaces_an_older_one(tmp_path):
    """That is an update; the same one again changes nothing."""
    target = tmp_path / "deep" / "rules.pack"
    assert install(*made(1), target, NOW)
    assert install(*made(2), target, NOW)
    assert not install(*made(2), target, NOW)
    assert read_pack(target, TRUSTED).version == 2


def test_an_older_pack_is_refused_also_after_the_new_one_was_deleted(tmp_path):
    """Whoever can serve an old pack, signed and good, could make the catalog forget a service."""
    target = tmp_path / "rules.pack"
    install(*made(2), target, NOW)
    with pytest.raises(BadPackError, match="is version 1, and 2 was installed here already"):
        install(*made(1), target, NOW)
    target.unlink()
    with pytest.raises(BadPackError, match="2 was installed"):
        install(*made(1), target, NOW)
    (tmp_path / "rules.pack.highest").unlink()
    with pytest.raises(BadPackError, match="3 was installed"):
        install(*made(1), target, NOW, installed=3)


def test_another_pack_of_the_same_number_is_refused(tmp_path):
    """A number names one pack: which of the two is right, nobody could tell."""
    target = tmp_path / "rules.pack"
    install(*made(2), target, NOW)
    with pytest.raises(BadPackError, match="another pack of the version 2"):
        install(*made(2, b"schema: 1\n#\n"), target, NOW)


def test_an_expired_pack_is_refused(tmp_path):
    """Somebody may be holding back the newer ones."""
    with pytest.raises(BadPackError, match="expired on 2026-05-30"):
        install(*made(2), tmp_path / "rules.pack", NOW + timedelta(days=90))
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_marker_is_told_and_does_not_count_as_none(tmp_path):
    """Otherwise damaging it would allow a rollback."""
    (tmp_path / "rules.pack.highest").write_text("{")
    with pytest.raises(BadPackError, match="is damaged; delete it"):
        install(*made(2), tmp_path / "rules.pack", NOW)


def test_a_full_disk_leaves_the_old_pack(tmp_path, monkeypatch):
    """What is in force is never half of something."""
    target = tmp_path / "rules.pack"
    install(*made(1), target, NOW)

    def full(_self, _target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        install(*made(2), target, NOW)
    assert read_pack(target, TRUSTED).version == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rules.pack", "rules.pack.highest"]


@pytest.mark.integration
def test_a_kill_at_any_instant_leaves_a_whole_pack(tmp_path):
    """Power fails when it likes."""
    target = tmp_path / "rules.pack"
    public = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    for number in range(1, 41):
        (tmp_path / f"{number:02}").write_bytes(made(number, b"#" * 200_000)[0])
    program = textwrap.dedent(f"""
        import sys
        from datetime import UTC, datetime
        from pathlib import Path
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from sentinel.signatures.installing import install
        from sentinel.signatures.pack import opened
        from sentinel.signatures.trust import key_id
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex("{public}"))
        for number in range(int(sys.argv[1]), 41):
            data = Path("{tmp_path}", f"{{number:02}}").read_bytes()
            install(data, opened(data, {{key_id(key): key}}, "r"), Path("{target}"), datetime(2026, 3, 1, 14, tzinfo=UTC))
            print(number, flush=True)
    """)
    reached = 0
    for lines in (1, 3, 7, 5):
        process = subprocess.Popen([sys.executable, "-c", program, str(reached + 1)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(lines):
            reached = int(process.stdout.readline())
        process.kill()
        process.communicate()
        found = read_pack(target, TRUSTED).version
        assert found >= reached
        reached = found


def catalog(**services):
    return Catalog.of(
        Service.of(
            {
                "id": name, "name": name, "category": "face-search", "severity": "low",
                "indicators": [{"domain": domain} for domain in domains],
            }
        )
        for name, domains in services.items()
    )  # fmt: skip


def test_a_loss_counts_services_and_indicators():
    """Emptied services blind as well as missing ones."""
    before = catalog(a=["a.example", "b.example", "c.example"], b=["d.example"], c=["e.example"])
    assert not loss(before, before).large
    assert not loss(before, catalog(a=["a.example", "b.example", "c.example"], b=["d.example"])).large
    assert loss(before, catalog(a=["a.example", "b.example", "c.example"])).services == ["b", "c"]
    assert loss(before, catalog(a=["a.example", "b.example", "c.example"])).large
    assert loss(before, catalog(a=["a.example"], b=["d.example"], c=["e.example"])).large
