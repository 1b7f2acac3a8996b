"""What a log line says when rules change."""

from sentinel.signatures.catalog import Catalog
from sentinel.signatures.difference import NAMED, difference
from sentinel.signatures.hosts import HostList
from sentinel.signatures.service import Service


def service(name, *domains, **more):
    indicators = [{"domain": domain} for domain in domains]
    return Service.of(
        {"id": name, "name": name, "category": "face-search", "severity": "low", "indicators": indicators, **more}
    )


def test_services_and_indicators_are_named():
    """Whoever reads the log wants to know what is watched now, and what no longer is."""
    before = Catalog.of([service("a", "a.example", "b.example"), service("b", "x.example"), service("same", "s.example")])
    after = Catalog.of([service("a", "a.example", "c.example"), service("c", "y.example"), service("same", "s.example")])
    assert difference(before, after).fields() == {
        "services_added": ["c"],
        "services_removed": ["b"],
        "services_changed": ["a"],
        "indicators_added": ["a: domain c.example", "c: domain y.example"],
        "indicators_removed": ["a: domain b.example", "b: domain x.example"],
    }
    assert difference(before, before).fields() == {}


def test_a_changed_note_is_a_change_too():
    """The digest differs, and the line has to say why."""
    before, after = Catalog.of([service("a", "a.example")]), Catalog.of([service("a", "a.example", note="n")])
    assert difference(before, after).fields() == {"services_changed": ["a"]}


def test_a_list_of_many_names_is_cut():
    """A feed changes by the thousand; a log line is read by people."""
    names = [HostList.of(f"n{number}.example" for number in range(upto)).text for upto in (1, 100)]
    before, after = (Catalog.of([service("list", names=text)]) for text in names)
    added = difference(before, after).fields()["indicators_added"]
    assert (len(added), added[-1]) == (NAMED + 1, f"and {99 - NAMED} more")
