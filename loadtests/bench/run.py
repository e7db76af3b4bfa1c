"""A whole run in the order in which it happens: calibrate, start what is compared, measure group by group, judge."""

import json
from collections import Counter
from dataclasses import dataclass

from loadtests.bench import following, growth, guests, load, machine, peers, visibility
from loadtests.bench.budgets import BUDGETS, Finding, budget_of, judge_all, matches, worst
from loadtests.bench.calibration import calibrate
from loadtests.bench.comparing import Contender, Group, Say, in_turn, tiers_of, warmed
from loadtests.bench.offline import last_known
from loadtests.bench.percentiles import Counts, percentile
from loadtests.bench.report import Outcome
from loadtests.bench.started import Grounds, House, Place, ask, has_shared_tier
from loadtests.bench.stored import stored
from loadtests.bench.wire import Request

STORED = 1_000
HOT = 100
OURS = ("guestprefs-sqlite", "guestprefs-postgresql")
BARE, READY, TYPED, WEBDIS = "bare ASGI", "FastAPI bytes", "FastAPI typed", "webdis"
_WEBDIS_KEYS = [f"g{number}" for number in range(HOT)]
_OFFERED = 0.4  # of the slowest rate among ours: a load that a healthy server carries without a queue


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    rows: str = ""
    rounds: int = 3
    seconds: float = 2.0
    sizes: tuple[int, ...] = (STORED, 100_000)
    growth_engines: tuple[str, ...] = ("sqlite",)

    def wants(self, prefix: str) -> bool:
        return any(budget.id.startswith(prefix) and matches(budget.id, self.rows) for budget in BUDGETS)


class Session:
    """Everything that is up, and what was found so far."""

    def __init__(self, wish: Wish, grounds: Grounds, say: Say) -> None:
        self.wish, self.grounds, self.say = wish, grounds, say
        self.outcome = Outcome(machine.facts())
        self.findings: dict[str, Finding] = {}
        self.houses: dict[str, House] = {}
        self.templates: dict[str, str] = {}
        self.document = b""
        self.peers = peers.Peers({})
        self.webdis: Place | None = None

    def prepare(self) -> None:
        for engine in ("sqlite", "postgresql"):
            self.say(f"starting guestprefs on {engine}")
            house = self.grounds.house(engine)
            self.houses[house.name], self.templates[house.name] = house, guests.first_guest(house)
            guests.load(house, self.templates[house.name], 0, STORED)
        house = self.houses[OURS[0]]
        status, _, self.document = ask(house.port, guests.reads(house, [0])[0])
        keys = len(json.loads(self.document).get("preferences", {}))
        if status != 200:
            raise SystemExit(f"the first read failed: {self.document!r}")
        self.outcome.notes.append(f"The document read has {keys} keys and {len(self.document):,} bytes.")
        self.webdis = self.grounds.webdis(self.document, _WEBDIS_KEYS)
        self.peers = peers.find(self.say)
        peers.give(self.peers, self.document)

    def compare(self) -> None:
        if self.wish.wants("hot/") or self.wish.wants("shared/"):
            self._reads()
        if self.wish.wants("ledger/"):
            self._ledgered()
        if self.wish.wants("batch/"):
            self._batches()
        if self.wish.wants("write/"):
            self._writes()
        if self.wish.wants("visible"):
            self._visibility()
        if self.wish.wants("told/"):
            self._told()
        if self.wish.wants("client/"):
            self.say("what clients knew last")
            self.findings.update(last_known(self.document))
        if self.wish.wants("growth/"):
            self._growth()
        if self.wish.wants("memory"):
            self._memory()
        self.outcome.judged = judge_all(self.findings, self.wish.rows)

    def _in_turn(self, title: str, contenders: list[Contender]) -> Group:
        group = in_turn(title, contenders, self.wish.rounds, self.wish.seconds, self.say)
        self.outcome.groups.append(group)
        return group

    def _reads(self) -> None:
        ours = [Contender(h, h.name, guests.reads(h, range(HOT))) for h in self.houses.values()]
        paths = ours[0].requests
        limits = [
            Contender(self.grounds.bare(name.replace(" ", "-"), application, self.document), name, paths)
            for name, application in ((BARE, "raw"), (READY, "ready"), (TYPED, "typed"))
        ]
        others = [Contender(place, name, peers.reads(name)) for name, place in self.peers.up.items()]
        if self.webdis:
            others.append(Contender(self.webdis, WEBDIS, [Request(f"/GET/{key}.txt") for key in _WEBDIS_KEYS]))
        house = self.houses[OURS[1]]
        fresh = Contender(house, "no-cache", guests.reads(house, range(HOT), fresh=True))
        warmed(house, fresh.requests, "shared", self.say)
        group = self._in_turn("read", [*limits, *ours, fresh, *others])
        tiers = {each.label: tiers_of(each.place, each.requests) for each in (*ours, fresh)}
        said = ", ".join(f"{name} {_said(found)}" for name, found in tiers.items())
        self.outcome.notes.append(f"Answered from: {said}.")
        for theirs, row in ((READY, "hot/bytes"), (BARE, "hot/bare"), (WEBDIS, "hot/webdis")):
            self.findings[row] = group.ratio(OURS, theirs)
        for name in ("pocketbase", "feast", "kinto"):
            self.findings[f"hot/{name}"] = group.ratio(OURS, name, self.peers.reason)
        shared = group.ratio(["no-cache"], READY)
        if set(tiers["no-cache"]) != {"shared"}:
            note = f"{shared.note}; answered from {_said(tiers['no-cache'])}"
            shared = Finding(shared.value, note, shared.generator_share, counts=False)
        self.findings["shared/bytes"] = shared
        if self.wish.wants("hot/"):
            self._tails(group, [*limits, *ours])

    def _ledgered(self) -> None:
        ours = [Contender(h, h.name, guests.ledgered(h, HOT)) for h in self.houses.values()]
        limit = Contender(self.grounds.bare("FastAPI-ledger", "ready", self.document), READY, ours[0].requests)
        group = self._in_turn("ledgered read", [limit, *ours])
        self.findings["ledger/bytes"] = group.ratio(OURS, READY)

    def _tails(self, group: Group, contenders: list[Contender]) -> None:
        rate = _OFFERED * min(group.rounds[name].best.rate for name in OURS)
        able = [each for each in contenders if group.rounds[each.label].best.rate > rate / 0.6]
        for each in able:
            self.say(f"open loop at {rate:,.0f}/s: {each.label}")
            sample = load.opened(each.place.port, each.requests, self.wish.seconds * 1.5, rate)
            self.outcome.tails[each.label] = sample.counts
            if sample.unanswered or sample.wrong:
                self.outcome.notes.append(f"{each.label}: {sample.unanswered} unanswered, {sample.wrong} wrong.")
        self.outcome.tails_note = f"Open loop, {rate:,.0f} requests a second for all."

    def _batches(self) -> None:
        contenders = [Contender(h, h.name, [guests.batch(h, range(HOT))]) for h in self.houses.values()]
        if self.webdis:
            contenders.append(Contender(self.webdis, WEBDIS, [Request("/MGET/" + "/".join(_WEBDIS_KEYS))]))
        if "pocketbase" in self.peers.up:
            contenders.append(Contender(self.peers.up["pocketbase"], "pocketbase", [peers.pocketbase_batch()]))
        group = self._in_turn("batch of 100", contenders)
        self.findings["batch/webdis"] = group.ratio(OURS, WEBDIS)
        self.findings["batch/pocketbase"] = group.ratio(OURS, "pocketbase", self.peers.reason)

    def _writes(self) -> None:
        written = range(HOT, HOT + peers.COUNT)  # as many as the peers have, each written by one connection
        contenders = [Contender(h, h.name, targets=guests.writes(h, written)) for h in self.houses.values()]
        if "kinto" in self.peers.up:
            contenders.append(Contender(self.peers.up["kinto"], "kinto", targets=peers.kinto_writes()))
        if "pocketbase" in self.peers.up:
            pairs = peers.pocketbase_writes(self.document)
            contenders.append(Contender(self.peers.up["pocketbase"], "pocketbase", targets=pairs))
        group = self._in_turn("one-key write", contenders)
        self.findings["write/kinto"] = group.ratio([OURS[1]], "kinto", self.peers.reason)
        self.findings["write/pocketbase"] = group.ratio([OURS[0]], "pocketbase", self.peers.reason)

    def _visibility(self) -> None:
        house = self.houses[OURS[1]]
        self.say("write visible in another process")
        counts = visibility.delays(house, self.grounds.neighbour(house), 300)
        p50, p99 = (percentile(counts, share) / 1000 for share in (0.5, 0.99))
        shared = has_shared_tier()
        note = (
            f"300 writes, p50 {p50:.2f} ms, longest {percentile(counts, 1.0) / 1000:.2f} ms; under faults: make prove"
        )
        self.findings["visible"] = Finding(
            p99, note if shared else f"{note}; every read went to SQL: this commit has no shared tier", counts=shared
        )

    def _told(self) -> None:
        small, large = (self.houses[name] for name in OURS)
        self.say("write told by a stream of another process")
        neighbour = self.grounds.neighbour(large, "streams")
        counts = following.delays(large, neighbour, following.WRITES, following.BUSY_S)
        self.findings["told/redis"] = _delay("postgresql", counts)
        self.say("the same without Redis: about two minutes, mostly quiet")
        alone = [
            (small, self.grounds.neighbour(small, "streams")),
            (large, self.grounds.neighbour(large, "alone", REDIS_URL="")),
        ]
        each = [
            _delay(house.engine, following.delays(house, place, following.QUIET_WRITES, following.IDLE_S))
            for house, place in alone
        ]
        self.findings["told/polled"] = worst(budget_of("told/polled"), each)

    def _growth(self) -> None:
        for engine in self.wish.growth_engines:
            houses = {}
            for size in self.wish.sizes:
                houses[size] = stored(self.grounds, engine, size, self.say)
            found = growth.measure(houses, self.wish.rounds, 1.5, self.say)
            self.outcome.growth.append(found)
            for size, house in houses.items():
                found.note("memory a guest, bytes", size, growth.memory(house, self.grounds, size).resident)
                self.grounds.end(house)
        for row, call in (("growth/hot", "hot p99"), ("growth/miss", "miss")):
            each = [found.finding(call) for found in self.outcome.growth]
            self.findings[row] = worst(budget_of(row), each)

    def _memory(self) -> None:
        self.say("memory per guest")
        house = self.houses[OURS[0]]
        enough = growth.WARM_GUESTS + growth.MEMORY_GUESTS
        guests.load(house, self.templates[house.name], STORED, enough)
        self.findings["memory"] = growth.memory(house, self.grounds, enough).finding()


def _delay(engine: str, counts: Counts) -> Finding:
    p50, p99, longest = (percentile(counts, share) / 1000 for share in (0.5, 0.99, 1.0))
    return Finding(p99, f"{engine}: {sum(counts.values())} writes, p50 {p50:.1f} ms, longest {longest:.1f} ms")


def _said(tiers: Counter[str]) -> str:
    return next(iter(tiers)) if len(tiers) == 1 else " and ".join(f"{count} {tier}" for tier, count in tiers.items())


def run(wish: Wish, say: Say) -> Outcome:
    grounds = Grounds()
    session = Session(wish, grounds, say)
    try:
        say("calibrating the open-loop generator on a known stall")
        calibration = calibrate(grounds)
        say(str(calibration))
        session.outcome.calibration = str(calibration)
        session.prepare()
        session.compare()
        if not calibration.believed:
            for row in ("growth/hot",):
                session.findings[row] = Finding(note="the generator's tails are not believed in this run")
            session.outcome.judged = judge_all(session.findings, wish.rows)
    finally:
        session.peers.close()
        grounds.close()
    if machine.commit() != session.outcome.facts["commit"]:
        session.outcome.facts["commit"] += f" (at the end of the run {machine.commit()}: two programs were measured)"
    session.outcome.facts["load average"] += f" before, {machine.load_average()} after: what else the machine did"
    return session.outcome
