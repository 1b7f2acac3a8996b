"""What shows of a service, and to whom: what `rules show` prints is what live traffic would give."""

import pytest

from sentinel.signatures.folders import builtin_rules
from sentinel.signatures.reading import read_files
from sentinel.signatures.visible import views
from sentinel.terms import Basis, Stage

FILES = read_files([builtin_rules()]).files
DNS, SNI, TUNNEL, REQUEST, MAIL = range(5)


def seen(service):
    return views(FILES[service].service)


def stages(view):
    return {sight.what: (sight.stage, sight.basis) for sight in view.sights}


def test_a_host_that_only_the_product_has_shows_a_log_in_to_a_proxy_and_no_more_than_a_contact_in_a_handshake():
    """Browsers finish a handshake for a link that nobody opened."""
    found = seen("clearview-ai")
    assert stages(found[DNS])["app.clearview.ai"] == (Stage.LOOKUP, Basis.OBSERVED)
    assert stages(found[SNI])["app.clearview.ai"] == (Stage.CONTACT, Basis.OBSERVED)
    assert stages(found[TUNNEL])["app.clearview.ai"] == (Stage.LOGIN, Basis.INFERRED)
    assert stages(found[MAIL])["clearview.ai and below"] == (Stage.LOGIN, Basis.INFERRED)


def test_requests_show_their_stage_and_what_is_special_of_them():
    """The mode that hides a search, and the request that is polled, are what a reader has to know."""
    hidden = [
        sight for sight in seen("clearview-ai")[REQUEST].sights if "secure_searches" in sight.what and "POST" in sight.what
    ]
    assert {(sight.stage, "always critical" in sight.note) for sight in hidden} == {(Stage.SEARCH, True)}
    (polled,) = [sight for sight in seen("facecheck-id")[REQUEST].sights if sight.what == "POST facecheck.id/api/search"]
    assert "counted once" in polled.note


def test_sizes_show_an_upload_where_only_names_are_seen():
    """Without decryption they are the only hint."""
    sizes = {what: known for what, known in stages(seen("facecheck-id")[SNI]).items() if "bytes" in what}
    assert list(sizes.values()) == [(Stage.UPLOAD, Basis.INFERRED)]
    assert "search: a proxy that inspects TLS sees them" in seen("facecheck-id")[SNI].hidden


@pytest.mark.parametrize("service", ["google-lens", "bing-visual-search", "azure-ai-face", "compreface"])
def test_on_shared_hosts_nothing_shows_but_requests(service):
    """Whoever has no proxy that inspects TLS must know that these go unseen."""
    found = seen(service)
    assert [view.sights for view in found[:REQUEST]] == [[], [], []]
    assert all("hosts alone prove nothing" in view.hidden[0] for view in found[:REQUEST])
    assert found[REQUEST].sights


@pytest.mark.parametrize("file", FILES.values(), ids=lambda file: file.id)
def test_every_service_can_be_shown(file):
    """A star, an address alone or no host at all is no reason to fail."""
    assert [view.observer.split()[0].rstrip(":") for view in views(file.service)] == ["DNS", "TLS", "Proxy", "Proxy", "Mail"]
