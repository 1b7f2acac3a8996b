"""Documents that have to be small keep who, what and when."""

import json

import pytest

from sentinel.schemas import SCHEMAS
from sentinel.schemas.fit import fitted
from tests.schemas.alerts import alert, session

LONG = ["\x1b", "\\", '"', "=", "ü", "😀", "a", "\udcff"]


@pytest.mark.integration
@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("char", LONG)
def test_the_identity_fits_into_2048_bytes(name, char):
    """Every collector takes that much. Cut by the collector, a document would be no JSON, and say nothing at all."""
    text = char * 3000
    of = session(
        client="2001:db8:1111:2222:3333:4444:5555:6666", user=text, device=text, network=text, service_name=text, reason=text,
        names=(text,) * 30, users=(text,) * 30,
    )  # fmt: skip
    huge = alert(of, text=text, url="https://" + text, method=text, extra={text: text})
    document = fitted(SCHEMAS[name], huge, text, 2048)
    assert len(document) <= 2048
    for kept in (huge.id, of.id, of.client, of.service, "search", "unsanctioned"):
        assert kept in document.decode()
    if name not in ("cef", "leef"):
        json.loads(document)


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_fits_is_left_alone(name):
    """Nothing is lost for the sake of a limit that is not reached."""
    assert fitted(SCHEMAS[name], alert(), "me", 8000) == SCHEMAS[name](alert(), "me")
