"""Random edits by several writers leave memory, SQLite and PostgreSQL with the same documents, histories and answers.

Each SQL database is open twice, as two processes would have it: a write goes through one of the two, and both are asked
afterwards. The edits are those of the core, so refusals and conflicts have to come out alike as well.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from prefs.core.callers import Role
from prefs.core.catalogue import PURPOSES
from prefs.core.changes import Written
from prefs.core.edits import Edited, edit, revert
from prefs.core.entries import PROFILE, Document, Identifier, Scope, ScopeKind
from prefs.core.errors import PrefsError
from prefs.core.resolve import resolve
from prefs.core.rooms import Property
from prefs.core.stays import Facts, Stay, StayStatus
from prefs.migrations import migrate
from prefs.ports import Apply, Lookup, Once, Past, Store
from prefs.store.memory import MemoryStore
from prefs.store.sql import SqlStore
from tests.core import strategies as drawn
from tests.core.sights import author, usual
from tests.store.samples import NOW, SetClock, consent, identify, name, newborn, nothing, rename, stay
from tests.vaults import vault

EXAMPLES, STEPS = 15, 25

CATALOGUE = drawn.standard()
# One key of every kind of value, and one more of the kinds that merge in their own ways.
DEFINITIONS = tuple({(d.kind.name, d.merge): d for d in CATALOGUE}.values())
PRESSABLE = tuple(d for d in CATALOGUE if ScopeKind.ROOM in d.scopes)
BRAND_SCOPE, PROPERTY_SCOPE = Scope(ScopeKind.BRAND, drawn.BRAND), Scope(ScopeKind.PROPERTY, drawn.HOUSE)
AUTHORS = (Role.GUEST, Role.STAFF, Role.SERVICE)
EXTERNAL = tuple(Identifier(system, id) for system in ("pms", "crm") for id in ("1", "2"))


def members(definition: Any) -> st.SearchStrategy[Any]:
    value = drawn.acceptable(definition.kind)
    wrapped = st.fixed_dictionaries(
        {"value": value},
        optional={
            "strength": st.sampled_from(sorted(definition.strengths)),
            "context": drawn.contexts(definition).map(lambda context: context.named()),
        },
    )
    negative = st.fixed_dictionaries({"not": st.lists(drawn.refusable(definition), max_size=2)})
    return st.one_of(value, wrapped, st.none(), negative, st.just({"value": "rubbish"}))


@st.composite
def patches(draw: st.DrawFn, member: Callable[[Any], st.SearchStrategy[Any]]) -> dict[str, Any]:
    chosen = draw(st.lists(st.sampled_from(DEFINITIONS), min_size=1, max_size=3, unique_by=lambda d: d.key))
    return {definition.key: draw(member(definition)) for definition in chosen}


def plainly(definition: Any) -> st.SearchStrategy[Any]:
    """What an editor sends: a value, a value for some context or until some time, or nothing any more."""
    value = drawn.acceptable(definition.kind)
    at_times = st.fixed_dictionaries(
        {"value": value, "context": drawn.contexts(definition).map(lambda context: context.named())},
        optional={"expires_at": st.sampled_from(["2027-01-01T00:00:00Z", "2027-01-01T00:00:00.000001+07:00"])},
    )
    return st.one_of(value, at_times, st.none())


class Stores(RuleBasedStateMachine):
    """`runner`, `sqlite` and `postgres` are given by the test: databases are kept, every example brings new guests."""

    runner: ClassVar[asyncio.Runner]
    clock: ClassVar[SetClock]
    sqlite: ClassVar[list[Store]]
    postgres: ClassVar[list[Store]]

    def __init__(self) -> None:
        super().__init__()
        self.clock.time = NOW
        self.memory = MemoryStore(self.clock)
        self.steps = itertools.count()
        self.repeats: list[tuple[str, Apply, Once]] = []
        self.systems = name("example")
        self.guests: list[str] = []
        self.stays: dict[str, str] = {}
        self.house: Property | None = None

    def everywhere(self, call: Callable[[Store], Awaitable[object]], stores: list[Store]) -> Any:
        """The outcome, which must be the same in all of these stores, refusals included."""

        async def outcome(store: Store) -> object:
            try:
                return await call(store)
            except PrefsError as refusal:
                return type(refusal), str(refusal)

        outcomes = [self.runner.run(outcome(store)) for store in stores]
        for other in outcomes[1:]:
            assert other == outcomes[0]
        return outcomes[0]

    def ask(self, call: Callable[[Store], Awaitable[object]]) -> Any:
        return self.everywhere(call, [self.memory, *self.sqlite, *self.postgres])

    def tell(self, writer: int, call: Callable[[Store], Awaitable[object]]) -> Any:
        return self.everywhere(call, [self.memory, self.sqlite[writer], self.postgres[writer]])

    def write(self, writer: int, guest: str, apply: Apply, repeatable: bool = False) -> Any:
        once = Once("caller", name("key"), "f") if repeatable else None
        told = self.tell(writer, lambda store: store.write(guest, apply, once))
        if once:
            self.repeats.append((guest, apply, once))
        self.agree(guest)
        return told

    def agree(self, guest: str) -> None:
        found = self.ask(lambda store: store.get(guest))
        history = self.ask(lambda store: store.history(guest, 1000))
        assert [change.version for change in history] == list(range(found.version, 0, -1))
        self.ask(lambda store: store.live(self.room(guest)))
        self.ask(lambda store: store.stays_of([guest]))
        self.ask(lambda store: store.look_up(Lookup([guest], [guest], [drawn.HOUSE], True)))

    # ------------------------------------------------------------ what happens

    @initialize(data=st.data(), writer=st.integers(0, 1))
    def arrive(self, data: st.DataObject, writer: int) -> None:
        self.house = data.draw(drawn.houses(DEFINITIONS))
        self.tell(writer, lambda store: store.put_property(drawn.HOUSE, {"name": "Dallas"}))
        for _ in range(2):
            guest, booking = name("gst"), name("sty")
            self.tell(writer, lambda store, guest=guest: store.create(newborn(guest)))  # type: ignore[misc]
            self.guests.append(guest)
            self.stays[guest] = booking
            self.put_stay(writer, stay(booking, guest, drawn.HOUSE, room="", trip=""))
            self.write(writer, guest, consent(*PURPOSES))
            self.agree(guest)

    def room(self, guest: str) -> Stay:
        return stay(self.stays[guest], guest, drawn.HOUSE)

    def put_stay(self, writer: int, given: Stay) -> None:
        self.tell(writer, lambda store: store.put_stay(given))
        self.ask(lambda store: store.live(given))

    @rule(writer=st.integers(0, 1), who=st.integers(0, 1), patch=patches(plainly), repeatable=st.booleans())
    def state(self, writer: int, who: int, patch: dict[str, Any], repeatable: bool) -> None:
        """The edit that most often goes through, so that there is something to disagree about."""
        by = author(Role.GUEST, "guest", "guest_app", self.clock.now())
        self.write(
            writer,
            self.guests[who],
            self.applying(lambda document, past, id: edit(CATALOGUE, document, past, patch, PROFILE, by, id)),
            repeatable,
        )

    @rule(
        data=st.data(),
        writer=st.integers(0, 1),
        who=st.integers(0, 1),
        role=st.sampled_from(sorted(AUTHORS)),
        patch=patches(members),
        repeatable=st.booleans(),
    )
    def edit_in_any_way(
        self, data: st.DataObject, writer: int, who: int, role: Role, patch: dict[str, Any], repeatable: bool
    ) -> None:
        guest = self.guests[who]
        here = Scope(ScopeKind.STAY, self.stays[guest])
        scope = data.draw(st.sampled_from([PROFILE, PROFILE, BRAND_SCOPE, PROPERTY_SCOPE, here]))
        if_match = data.draw(st.sampled_from([None, None, None, 2, 3, 4, 5]))
        base = data.draw(st.none() | st.integers(0, 30))
        by = author(role, role.value, "guest_app", self.clock.now())

        def decide(document: Document, past: Past, new_id: Callable[[], str]) -> Edited:
            return edit(CATALOGUE, document, past, patch, scope, by, new_id, if_match=if_match, base_version=base)

        self.write(writer, guest, self.applying(decide), repeatable)

    def applying(self, decide: Callable[[Document, Past, Callable[[], str]], Edited]) -> Apply:
        """The same ids in every store, and again if a store decides twice."""
        step = next(self.steps)

        def apply(document: Document, past: Past) -> Written:
            numbers = itertools.count()
            edited = decide(document, past, lambda: f"prf_{step:04}_{next(numbers):04}")
            answer = {"version": edited.document.version, "touched": list(edited.touched)}
            return Written(edited.document, edited.change, answer)

        return apply

    @rule(writer=st.integers(0, 1), who=st.integers(0, 1), back=st.integers(-1, 6))
    def undo(self, writer: int, who: int, back: int) -> None:
        newest = self.runner.run(self.memory.history(self.guests[who], 1))[0].version
        version = newest - back
        by = author(Role.GUEST, "guest", "guest_app", self.clock.now())
        self.write(
            writer,
            self.guests[who],
            self.applying(lambda document, past, new_id: revert(CATALOGUE, document, past, version, by, new_id)),
        )

    @rule(writer=st.integers(0, 1), who=st.integers(0, 1), purposes=st.sets(st.sampled_from(PURPOSES)))
    def agree_to(self, writer: int, who: int, purposes: set[str]) -> None:
        self.write(writer, self.guests[who], consent(*sorted(purposes, reverse=True)))

    @rule(writer=st.integers(0, 1), who=st.integers(0, 1), known_as=st.text(max_size=4).filter(str.isprintable))
    def rename(self, writer: int, who: int, known_as: str) -> None:
        self.write(writer, self.guests[who], rename(known_as, at=self.clock.now()))

    @rule(writer=st.integers(0, 1), who=st.integers(0, 1), chosen=st.sets(st.sampled_from(EXTERNAL)))
    def identify(self, writer: int, who: int, chosen: set[Identifier]) -> None:
        mine = tuple(Identifier(f"{self.systems}-{one.system}", one.id) for one in chosen)
        self.write(writer, self.guests[who], identify(*mine), repeatable=True)
        for one in mine:
            self.ask(lambda store, one=one: store.find(one))  # type: ignore[misc]

    @rule(writer=st.integers(0, 1), who=st.integers(0, 1))
    def change_nothing(self, writer: int, who: int) -> None:
        self.write(writer, self.guests[who], nothing, repeatable=True)

    @precondition(lambda self: self.repeats)
    @rule(data=st.data(), writer=st.integers(0, 1), other_request=st.booleans())
    def repeat(self, data: st.DataObject, writer: int, other_request: bool) -> None:
        guest, apply, once = data.draw(st.sampled_from(self.repeats))
        once = Once(once.caller, once.key, "g" if other_request else once.fingerprint)
        self.tell(writer, lambda store: store.write(guest, apply, once))
        self.agree(guest)

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        self.clock.move(timedelta(hours=hours))

    @rule(
        writer=st.integers(0, 1),
        who=st.integers(0, 1),
        room=st.sampled_from(["", drawn.ROOM]),
        trip=st.sampled_from(["", "business"]),
        status=st.sampled_from(StayStatus),
    )
    def move(self, writer: int, who: int, room: str, trip: str, status: StayStatus) -> None:
        guest = self.guests[who]
        self.put_stay(writer, stay(self.stays[guest], guest, drawn.HOUSE, room=room, trip=trip, status=status))

    @rule(data=st.data(), writer=st.integers(0, 1), who=st.integers(0, 1))
    def press(self, data: st.DataObject, writer: int, who: int) -> None:
        pressed = data.draw(drawn.presses(PRESSABLE, self.clock.now()))
        self.tell(writer, lambda store: store.put_live(self.room(self.guests[who]), pressed))

    # ------------------------------------------------------------ what applies

    @rule(who=st.integers(0, 1), surface=drawn.surfaces, explain=st.booleans())
    def resolve(self, who: int, surface: str, explain: bool) -> None:
        guest = self.guests[who]

        async def answer(store: Store) -> object:
            document, live = await store.get(guest), await store.live(self.room(guest))
            booking = (await store.stays_of([guest]))[guest][0]
            assert document is not None
            facts = Facts(self.clock.now(), self.house, booking)
            return resolve(CATALOGUE, document, facts, sight=usual(surface), live=live, explain=explain)

        self.ask(answer)

    def teardown(self) -> None:
        for guest in self.guests:
            self.agree(guest)
        for definition in DEFINITIONS:
            held = [self.runner.run(self.memory.guests_with(definition.key, 10))]
            for store in (*self.sqlite, *self.postgres):
                found = self.runner.run(
                    store.guests_with(definition.key, 10_000, after=min(self.guests, default="")[:-1])
                )
                held.append([guest for guest in found if guest in self.guests])
            assert all(other == held[0] for other in held)


def test_all_stores_do_the_same(sqlite_url: str, postgres_url: str) -> None:
    with asyncio.Runner() as runner:
        clock = SetClock()
        opened: dict[str, list[Store]] = {}
        for url in (sqlite_url, postgres_url):
            runner.run(migrate(url))
            opened[url] = [runner.run(SqlStore.open(url, clock, vault())) for _ in range(2)]

        class Here(Stores):
            pass

        Here.runner, Here.clock = runner, clock
        Here.sqlite, Here.postgres = opened[sqlite_url], opened[postgres_url]
        try:
            run_state_machine_as_test(
                Here,
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=STEPS,
                    deadline=None,
                    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking here takes many minutes
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            for store in itertools.chain(*opened.values()):
                runner.run(store.close())
