"""Makes departments whose truth is known: people, laptops, shared desks, a NAT, a terminal server, and the records of them.

DHCP leases are renewed, released, expire and are overstayed; laptops move between sites; records are lost, late and doubled;
each source's clock is off. What the records say is written as the programs write it, for the real readers to read.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

DAY = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 2
LOST_DHCP, LOST_LOGON, LOST_ENDPOINT = 0.02, 0.02, 0.05
LATE, TWICE = 0.2, 0.05
LATEST = 6 * 60  # minutes
SKEW = 120  # seconds
NAT, TERMINAL = "10.99.0.1", "10.99.0.2"


@dataclass(frozen=True)
class Visit:
    """Somebody's visit, with what is true of it; `knowable`: the records that survived prove it, to whom the truth is known."""

    time: datetime
    address: str
    person: str
    knowable: bool


@dataclass
class Stint:
    """One person at one device that has one address."""

    person: str
    device: str
    address: str
    start: float  # minutes after DAY, true time
    end: float
    logons: list[float] = field(default_factory=list)  # those whose records survived
    told: bool = False  # by the endpoint's record


@dataclass(frozen=True)
class Record:
    """One line of a source: when it says it was (by its source's clock), when it arrived, and its text."""

    arrives: float
    text: str


@dataclass
class Department:
    """What the sources wrote, and what was so."""

    size: int
    dhcp: list[Record]
    logons: list[Record]
    endpoint: list[Record]
    visits: list[Visit]
    declared: dict[str, str]

    def files(self, until: float = 1e9) -> dict[str, bytes]:
        """Return the files of the sources as they are *until* so many minutes after the beginning, in the order of arrival."""
        made = {}
        for name, records, head in (
            ("dhcpd.log", self.dhcp, ""),
            ("logons.json", self.logons, ""),
            ("endpoint.csv", self.endpoint, "address,user,device,from,until\n"),
        ):
            arrived = sorted((one for one in records if one.arrives <= until), key=lambda one: one.arrives)
            if arrived:
                made[name] = (head + "".join(one.text + "\n" for one in arrived)).encode()
        return made


class Maker:
    """Makes one department of *size* people from *seed*."""

    def __init__(self, size: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.size = size
        self.lease = self.random.choice([60, 240, 480])
        self.skew = {name: self.random.uniform(-SKEW, SKEW) for name in ("dhcp", "logon", "endpoint")}
        self.has_endpoint = self.random.random() < 0.5
        self.pools = [[f"10.{site}.{n // 250}.{n % 250 + 1}" for n in range(int(size * 0.9) + 10)] for site in (1, 2)]
        self.last: dict[tuple[str, int], str] = {}
        self.busy: dict[str, float] = {}  # until when an address is leased
        self.squatted: dict[str, float] = {}  # until when somebody stays on without a lease
        self.conflicts: list[tuple[str, float, float]] = []
        self.dhcp: list[Record] = []
        self.logons: list[Record] = []
        self.endpoint: list[Record] = []
        self.stints: list[Stint] = []
        self.shared: list[Stint] = []

    def make(self) -> Department:
        """Live through the days, and look at them."""
        stays = []
        people = [f"p{n}" for n in range(self.size)]
        desks = people[: self.size // 4]  # a quarter works at shared desks, three to a desk
        for day in range(DAYS):
            stays += [
                (day * 1440 + self.random.uniform(420, 450), f"desk{n}", 0, desks[n : n + 3], day * 1440 + 1080)
                for n in range(0, len(desks), 3)
            ]
            for person in people[len(desks) :]:
                start = day * 1440 + self.random.gauss(500, 40)
                end = start + self.random.gauss(500, 60)
                if self.random.random() < 0.3:  # moves to the other site
                    middle = self.random.uniform(start + 30, end - 30)
                    stays.append((start, f"lap-{person}", 0, [person], middle))
                    stays.append((middle + self.random.uniform(3, 40), f"lap-{person}", 1, [person], end))
                else:
                    stays.append((start, f"lap-{person}", 0, [person], end))
        for start, device, site, who, end in sorted(stays):
            if end - start > 10:
                self.stay(device, site, who, start, end)
        self.many(NAT, people)
        self.many(TERMINAL, people)
        declared = {}
        if self.random.random() < 0.5:
            declared = {NAT: "the nat 'guests'", TERMINAL: "the terminal 'ts1'"}
        return Department(self.size, self.dhcp, self.logons, self.endpoint, self.looked_at(), declared)

    def stay(self, device: str, site: int, who: list[str], start: float, end: float) -> None:
        """A device has an address for a while, and people use it."""
        address = self.given(device, site, start)
        mac = mac_of(device)
        self.say("dhcp", start, f"DHCPDISCOVER from {mac} ({device}) via eth0")
        self.say(
            "dhcp", start, f"DHCPOFFER on {address} to {mac} ({device}) via eth0 relay eth0 lease-duration 120 offered-new"
        )
        stops = self.random.uniform(start, end) if self.random.random() < 0.03 else end  # overstays: it renews no more
        ack, lease_end = start, start
        while ack < stops or ack == start:
            self.say(
                "dhcp", ack, f"DHCPACK on {address} to {mac} ({device}) via eth0 relay eth0 lease-duration {self.lease * 60}"
            )
            lease_end = ack + self.lease
            ack += self.lease / 2
        if lease_end < end:
            self.squatted[address] = end
        elif self.random.random() < 0.5:
            lease_end = end
            self.say("dhcp", end, f"DHCPRELEASE of {address} from {mac} ({device}) via eth0 (found)")
        self.busy[address] = lease_end
        if lease_end != end:
            self.say("dhcp", lease_end, f"DHCPEXPIRE on {address} to {mac}")
        self.use(device, address, who, start, end)

    def given(self, device: str, site: int, now: float) -> str:
        """Return the address that the server gives: the old one if it is free, else any; none that answers a ping."""
        address = self.last.get((device, site)) or self.random.choice(self.pools[site])
        while self.busy.get(address, -1) > now or (self.squatted.get(address, -1) > now and self.random.random() > 0.05):
            address = self.random.choice(self.pools[site])
        if self.squatted.get(address, -1) > now:
            self.conflicts.append((address, now, self.squatted[address]))
        self.last[device, site] = address
        return address

    def use(self, device: str, address: str, who: list[str], start: float, end: float) -> None:
        """People work at a device one after the other."""
        at = start + self.random.uniform(0.5, 5)
        while at < end - 5:
            stop = end if len(who) == 1 else min(end, at + self.random.uniform(20, 200))
            self.stint(Stint(self.random.choice(who), device, address, at, stop), self.stints)
            at = stop + self.random.uniform(0.5, 15)

    def stint(self, stint: Stint, into: list[Stint]) -> None:
        """One person at work: log-ons from time to time, and the endpoint's record of it."""
        at = stint.start
        while at < stint.end:
            event = {"EventID": 4624, "Hostname": "dc1", "TargetUserName": stint.person, "TargetDomainName": "DEPT"}
            clock = stamp(at, self.skew["logon"])
            if self.keep(LOST_LOGON):
                stint.logons.append(at)
                self.add(self.logons, at, json.dumps({"EventTime": clock, **event, "IpAddress": stint.address}))
            at += self.random.uniform(30, 90)
        if self.has_endpoint and self.keep(LOST_ENDPOINT):
            stint.told = True
            times = f"{stamp(stint.start, self.skew['endpoint'])},{stamp(stint.end, self.skew['endpoint'])}"
            if stint.address not in (NAT, TERMINAL):
                self.add(self.endpoint, stint.end, f"{stint.address},{stint.person},{stint.device},{times}")
        into.append(stint)

    def many(self, address: str, people: list[str]) -> None:
        """Many people work behind one address at the same time."""
        for person in self.random.sample(people, max(6, self.size // 10)):
            for day in range(DAYS):
                start = day * 1440 + self.random.uniform(480, 960)
                self.stint(Stint(person, "-", address, start, start + self.random.uniform(20, 120)), self.shared)

    def keep(self, lost: float) -> bool:
        return self.random.random() >= lost

    def say(self, source: str, at: float, text: str) -> None:
        """The DHCP server writes a line, unless it is lost."""
        if self.keep(LOST_DHCP):
            self.add(self.dhcp, at, f"{stamp(at, self.skew[source])} gw dhcpd[1]: {text}")

    def add(self, records: list[Record], at: float, text: str) -> None:
        """A record arrives: at once or late, and now and then twice."""
        for _ in range(2 if self.random.random() < TWICE else 1):
            late = self.random.uniform(1, LATEST) if self.random.random() < LATE else self.random.uniform(0, 0.2)
            records.append(Record(at + late, text))

    def looked_at(self) -> list[Visit]:
        """Everybody visits something now and then."""
        visits = []
        for stint in [*self.stints, *self.shared]:
            for _ in range(1 + int((stint.end - stint.start) / 60)):
                at = self.random.uniform(stint.start, stint.end)
                proven = any(one <= at for one in stint.logons) and any(one > at for one in stint.logons)
                contested = any(a == stint.address and since <= at < until for a, since, until in self.conflicts)
                knowable = (proven or stint.told) and not contested and stint.address not in (NAT, TERMINAL)
                visits.append(Visit(DAY + timedelta(minutes=at), stint.address, stint.person, knowable))
        return visits


def mac_of(device: str) -> str:
    """Return the hardware address of a device."""
    digits = random.Random(device).randbytes(5).hex(":")
    return f"02:{digits}"


def stamp(minutes: float, skew: float) -> str:
    """Return a time as a clock writes it that is *skew* seconds ahead."""
    return (DAY + timedelta(minutes=minutes, seconds=skew)).isoformat(timespec="seconds")
