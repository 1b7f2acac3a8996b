"""Directory exports: which user is which person, whatever wrote them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.identity import export
from sentinel.identity.people import Entry, People

LDIF = """\
# extended LDIF
version: 1

dn: CN=Jane Doe,OU=Detectives,OU=Staff,DC=dept,DC=example
objectClass: top
objectClass: user
sAMAccountName: jdoe
userPrincipalName: jdoe@dept.example
displayName:: SsOkbmUgRG9l
mail: jane.doe
 @dept.example

dn: CN=WS-17,OU=Computers,DC=dept,DC=example
objectClass: user
objectClass: computer
sAMAccountName: WS-17$

dn: uid=ruiz,ou=people,dc=dept,dc=example
uid: ruiz
cn: Ana Ruiz
departmentNumber: Records
jpegPhoto:< file:///etc/passwd
"""
CSV = """#TYPE Microsoft.ActiveDirectory.Management.ADUser
"DistinguishedName","SamAccountName","Name","Department","EmailAddress","ObjectClass"
"CN=Jane Doe,OU=Detectives,DC=dept","jdoe","Jane Doe","","jane@dept.example","user"
"CN=Ana Ruiz,OU=X,DC=dept","ruiz","Ana Ruiz","Records","","user"
"CN=g,DC=dept","g","g","","","group"
"""


def test_an_ldif_names_people_with_their_accounts_units_and_mailboxes():
    """Folded lines, base64 and comments are LDIF's; computers are no people; a URL of a value is not followed."""
    assert export.is_ldif(LDIF)
    jane, ana = export.ldif("people.ldif", LDIF)
    assert jane == Entry(
        ("jdoe", "jdoe@dept.example"), "Jäne Doe", "Detectives", "jane.doe@dept.example", "people.ldif"
    )  # fmt: skip
    assert (ana.accounts, ana.person, ana.unit, ana.mailbox) == (("ruiz",), "Ana Ruiz", "Records", None)


def test_a_csv_of_active_directory_names_the_same():
    """As `Get-ADUser | Export-Csv` writes it; where no department is set, the folder of the account is the unit."""
    assert export.is_csv(CSV)
    jane, ana = export.table("people.csv", CSV)
    assert (jane.accounts, jane.person, jane.unit, jane.mailbox) == (("jdoe",), "Jane Doe", "Detectives", "jane@dept.example")
    assert (ana.unit, ana.mailbox) == ("Records", None)


def test_a_plain_table_of_users_will_do():
    """What a person types: the columns are named as the issue has them."""
    (entry,) = export.table("p.csv", "user,person,unit,mailbox\njdoe,Jane Doe,Detectives,jane@dept.example\n")
    assert entry == Entry(("jdoe",), "Jane Doe", "Detectives", "jane@dept.example", "p.csv")


@pytest.mark.parametrize("text", ["address,user,device\n10.0.0.1,a,b\n", "user\na\n", "", "no\n", "mac,user,unit\nx,y,z\n"])
def test_a_table_of_addresses_is_no_directory(text):
    """It says who had an address, and is read as that."""
    assert not export.is_csv(text)
    assert not export.is_ldif(text)


def test_all_names_of_a_person_are_one_person_s():
    """A proxy writes the domain, a VPN does not."""
    people = People(export.ldif("x", LDIF))
    assert people.key("JDoe") == people.key("jdoe@dept.example") == "jdoe"
    assert people.person("jdoe@dept.example").names == {"jdoe", "jdoe@dept.example"}
    assert people.person("jdoe").unit == "Detectives"
    assert people.person("nobody").names == {"nobody"}


def test_a_name_that_two_people_have_is_nobody_s():
    """Two domains may each have a jdoe: whose it is cannot be told from the name."""
    people = People([Entry(("jdoe", "jdoe@a"), "Jane Doe"), Entry(("jdoe", "jdoe@b"), "John Doe")])
    assert people.find("jdoe") is None
    assert people.person("jdoe").unit is None
    assert people.find("jdoe@b").person == "John Doe"


@given(st.text(max_size=200) | st.binary(max_size=80).map(lambda b: f"dn: x\nuid:: {base64.b64encode(b).decode()}\n"))
def test_any_text_gives_entries_or_the_declared_error(text):
    """Exports come from elsewhere."""
    for read in (export.ldif, export.table):
        try:
            assert all(entry.accounts for entry in read("x", text))
        except export.NotIdentity:
            continue
