"""Exports of a directory (LDAP, Active Directory): which user is which person, of which unit, with which mailbox.

    dn: CN=Jane Doe,OU=Detectives,DC=dept,DC=example       DN,sAMAccountName,displayName,department,mail
    sAMAccountName: jdoe                                   "CN=Jane Doe,OU=Detectives,…",jdoe,Jane Doe,Detectives,jdoe@…
    userPrincipalName: jdoe@dept.example
    department: Detectives

LDIF as ldapsearch, slapcat and ldifde write it, and CSV with a header row, as csvde, `Get-ADUser | Export-Csv` or people do.

Reference: RFC 2849; https://learn.microsoft.com/en-us/windows/win32/adschema/attributes-all
"""

from __future__ import annotations

import base64
import binascii
import csv
import re
from collections.abc import Iterator, Mapping, Sequence

from sentinel.identity.binding import NotIdentity
from sentinel.identity.people import Entry

ACCOUNTS = ("user", "samaccountname", "uid", "username", "login", "userprincipalname")
"""The attributes that name an account, the plain one before the one with the domain."""

PERSONS = ("person", "displayname", "cn", "name", "gecos")
UNITS = ("unit", "department", "departmentnumber", "ou")
MAILBOXES = ("mailbox", "mail", "emailaddress", "email")

LDIF = re.compile(r"(?:^|\n)dn::? ?\S", re.IGNORECASE)
OU = re.compile(r"(?:^|,)\s*OU=((?:[^,\\]|\\.)+)", re.IGNORECASE)
NOT_PEOPLE = frozenset({"computer", "group", "groupofnames", "organizationalunit", "domaindns", "container"})


def is_ldif(text: str) -> bool:
    """Return whether *text* begins as LDIF does."""
    return LDIF.match(re.sub(r"(?m)^(?:#.*|version: ?\d+|\s*)\n", "", text[:20_000])) is not None


def is_csv(text: str) -> bool:
    """Return whether the first row names an account and somebody's name, unit or mailbox, and no address or device."""
    names = set(_header(text))
    if names & {"address", "mac", "device"} or not names.intersection(ACCOUNTS):
        return False
    return bool(names.intersection((*PERSONS, *UNITS, *MAILBOXES)))


def ldif(name: str, text: str) -> list[Entry]:
    """Return the people of an LDIF export."""
    return [entry for values in _records(text) if (entry := _entry(name, values)) is not None]


def table(name: str, text: str) -> list[Entry]:
    """Return the people of a CSV export.

    Raises:
        NotIdentity: It is no CSV after all.
    """
    header = _header(text)
    found = []
    try:
        for row in csv.reader(_rows(text)[1:], skipinitialspace=True):
            values = {key: [cell.strip()] for key, cell in zip(header, row, strict=False) if cell.strip()}
            entry = _entry(name, values)
            if entry is not None:
                found.append(entry)
    except csv.Error as error:
        raise NotIdentity(f"no CSV: {error}") from error
    return found


def _rows(text: str) -> list[str]:
    # PowerShell 5 writes "#TYPE Microsoft.ActiveDirectory…" ahead of the header.
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#TYPE ")]


def _header(text: str) -> list[str]:
    try:
        rows = _rows(text[:20_000])
        return [cell.strip().lower() for cell in next(csv.reader(rows[:1], skipinitialspace=True), [])]
    except csv.Error:
        return []


def _records(text: str) -> Iterator[dict[str, list[str]]]:
    """Yield each entry's values by attribute in lower case; options (`;lang-de`) are dropped, URLs are not followed."""
    unfolded = re.sub(r"\r?\n ", "", text)  # RFC 2849: a line that begins with a space goes on with the one before
    values: dict[str, list[str]] = {}
    for line in [*unfolded.splitlines(), ""]:
        if not line.strip():
            if values:
                yield values
            values = {}
            continue
        attribute, colon, value = line.partition(":")
        if line.startswith("#") or not colon or value.startswith("<"):
            continue
        if value.startswith(":"):
            try:
                value = base64.b64decode(value[1:].strip(), validate=True).decode("utf-8", "surrogateescape")
            except (binascii.Error, ValueError):
                continue
        values.setdefault(attribute.partition(";")[0].strip().lower(), []).append(value.strip())


def _entry(name: str, values: Mapping[str, Sequence[str]]) -> Entry | None:
    """Return the person of an entry; None for one without an account, or of something else than a person."""
    classes = {word.casefold() for value in values.get("objectclass", ()) for word in value.split(";")}
    if classes & NOT_PEOPLE:
        return None
    accounts = [value for key in ACCOUNTS for value in values.get(key, ()) if value]
    if not accounts:
        return None
    dn = next((value for key in ("dn", "distinguishedname") for value in values.get(key, ())), "")
    unit = _first(values, UNITS) or next((found[1].replace("\\", "") for found in OU.finditer(dn)), None)
    return Entry(tuple(dict.fromkeys(accounts)), _first(values, PERSONS), unit, _first(values, MAILBOXES), name)


def _first(values: Mapping[str, Sequence[str]], keys: Sequence[str]) -> str | None:
    return next((value for key in keys for value in values.get(key, ()) if value), None)
