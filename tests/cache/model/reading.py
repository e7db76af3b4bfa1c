"""The steps of a read: local tier, GET, LEASE, SELECT, FILL, keep. Each answer is held against what is promised."""

from __future__ import annotations

from collections.abc import Iterator

from tests.cache.model import states
from tests.cache.model.rules import (
    NO_INVERSION,
    NOT_STALE,
    TOKEN,
    WITHDRAWN,
    WITHIN_DELTA,
    Rules,
    Setting,
)
from tests.cache.model.states import (
    ASKING,
    DOOMED,
    FILLING,
    IDLE,
    KEEPING,
    LAPSED,
    LEASED,
    LOADING,
    MISSED,
    NO_LEASE,
    NOTHING,
    WIPED,
    Reader,
    State,
    fenced,
    with_reader,
    without_leases,
    without_placeholders,
)
from tests.cache.model.writing import Step

HOLDS_LEASE = (LEASED, DOOMED)


def reader_steps(state: State, rules: Rules, setting: Setting) -> Iterator[Step]:
    previous: Reader | None = None
    for who, reader in enumerate(state.readers):
        if reader == previous:
            continue
        previous = reader
        match reader.at:
            case states.IDLE if setting.local:
                yield look_up(state, who, rules, setting)
            case states.IDLE | states.ASKING:
                yield get(state, who, rules, setting)
            case states.MISSED:
                yield lease(state, who, rules, setting)
            case states.LOADING:
                yield select(state, who, setting)
            case states.FILLING:
                yield fill(state, who, rules, setting)
                if reader.placeholder:
                    # The local tier need not wait for the shared one.
                    yield "kept locally", who, kept(state, who, reader._replace(placeholder=False))
            case states.KEEPING:
                yield keep(state, who, rules)
        if reader.lease in HOLDS_LEASE:
            lapsed = reader._replace(lease=LAPSED)
            yield "LEASE expires", who, state._replace(readers=with_reader(state, who, lapsed))


def look_up(state: State, who: int, rules: Rules, setting: Setting) -> Step:
    worker = state.worker
    trusted = worker.fresh or not rules.asks_heartbeat
    new_enough = TOKEN not in setting.promises or worker.entry >= max(state.acked, state.seen)
    if trusted and worker.entry != NOTHING and new_enough:
        return "local hit", who, served_locally(state, worker.entry, setting)
    # The newest placeholder is the only one: whoever had set one before will not keep what it reads.
    others = state._replace(readers=without_placeholders(state.readers))
    return "local miss", who, others._replace(readers=with_reader(others, who, Reader(ASKING, placeholder=True)))


def served_locally(state: State, value: int, setting: Setting) -> State:
    if WITHIN_DELTA in setting.promises and value < state.due:
        return state._replace(broken=f"{WITHIN_DELTA}: {value} served locally, {state.due} acknowledged Delta ago")
    if WITHDRAWN in setting.promises and value < state.acked:
        return state._replace(broken=f"{WITHDRAWN}: {value} served locally, {state.acked} acknowledged")
    if TOKEN in setting.promises:
        return state._replace(seen=max(state.seen, value))
    return state


def get(state: State, who: int, rules: Rules, setting: Setting) -> Step:
    # The read begins here at the latest, so these are the most it can be asked to know.
    begun = state.readers[who]._replace(
        at=MISSED,
        acked=state.acked if setting.promises & {NOT_STALE, TOKEN} else 0,
        seen=state.seen if setting.promises & {NO_INVERSION, TOKEN} else 0,
    )
    after = state._replace(readers=with_reader(state, who, begun))
    if state.entry == NOTHING:
        return "GET miss", who, after
    if too_old(begun, state.entry, rules, setting):
        return "GET older than token", who, after._replace(entry=NOTHING)
    return "GET hit", who, answered(after, who, state.entry, setting, KEEPING)


def too_old(reader: Reader, value: int, rules: Rules, setting: Setting) -> bool:
    return TOKEN in setting.promises and rules.checks_token and value < max(reader.acked, reader.seen)


def lease(state: State, who: int, rules: Rules, setting: Setting) -> Step:
    reader = state.readers[who]
    if state.entry != NOTHING and not too_old(reader, state.entry, rules, setting):
        return "LEASE finds an entry", who, answered(state, who, state.entry, setting, KEEPING)

    def loading(granted: int) -> State:
        return state._replace(readers=with_reader(state, who, reader._replace(at=LOADING, lease=granted)))

    if state.entry != NOTHING:
        return "LEASE finds an entry older than token", who, loading(NO_LEASE)
    if rules.forgets_cold and state.cold:
        reader = reader._replace(placeholder=False)
    if fenced(state):
        if rules.forgets_fenced:
            reader = reader._replace(placeholder=False)
        return "LEASE fenced", who, loading(NO_LEASE)
    if not rules.leases:
        return "no LEASE", who, loading(LEASED)
    if any(other.lease in HOLDS_LEASE for other in state.readers):
        return "LEASE busy", who, loading(NO_LEASE)
    unfenced_write = any(writer.fence == WIPED for writer in state.writers)
    return "LEASE granted", who, loading(DOOMED if unfenced_write else LEASED)


def select(state: State, who: int, setting: Setting) -> Step:
    """A statement of its own on the primary, begun after LEASE answered: it sees what is committed now."""
    if state.readers[who].lease != NO_LEASE:
        return "SELECT to fill", who, answered(state, who, state.version, setting, FILLING)
    return "SELECT past the cache", who, answered(state, who, state.version, setting, KEEPING)


def answered(state: State, who: int, value: int, setting: Setting, then: str) -> State:
    """The caller has its answer now; what is left to do is for the caches."""
    reader = state.readers[who]
    broken = ""
    if NOT_STALE in setting.promises and value < reader.acked:
        broken = f"{NOT_STALE}: {value} returned, {reader.acked} was acknowledged before"
    elif NO_INVERSION in setting.promises and value < reader.seen:
        broken = f"{NO_INVERSION}: {value} returned, {reader.seen} was returned before"
    elif TOKEN in setting.promises and value < max(reader.acked, reader.seen):
        broken = f"{TOKEN}: {value} returned, the token was {max(reader.acked, reader.seen)}"
    remembered = setting.promises & {NO_INVERSION, TOKEN}
    return settled(
        state._replace(broken=broken, seen=max(state.seen, value) if remembered else 0), who, value, setting, then
    )


def settled(state: State, who: int, value: int, setting: Setting, then: str) -> State:
    reader = state.readers[who]
    if then == KEEPING and not setting.local:
        then = IDLE
    after = Reader() if then == IDLE else Reader(then, value, reader.lease, reader.placeholder)
    return state._replace(readers=with_reader(state, who, after))


def fill(state: State, who: int, rules: Rules, setting: Setting) -> Step:
    reader = state.readers[who]
    holds = reader.lease in HOLDS_LEASE or not rules.fill_asks_lease
    released = state._replace(readers=with_reader(state, who, reader._replace(lease=NO_LEASE)))
    if holds and not fenced(state) and not (state.cold and rules.cold_guard):
        stored = released._replace(entry=reader.value, readers=without_leases(released.readers))
        return "FILL", who, settled(stored, who, reader.value, setting, KEEPING)
    return "FILL refused", who, settled(released, who, reader.value, setting, KEEPING)


def keep(state: State, who: int, rules: Rules) -> Step:
    if state.readers[who].placeholder or not rules.placeholders:
        return "kept locally", who, kept(state, who, Reader())
    return "not kept: placeholder gone", who, state._replace(readers=with_reader(state, who, Reader()))


def kept(state: State, who: int, after: Reader) -> State:
    worker = state.worker._replace(entry=state.readers[who].value)
    return state._replace(worker=worker, readers=with_reader(state, who, after))
