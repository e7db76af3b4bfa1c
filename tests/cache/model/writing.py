"""The steps of a write: FENCE, BEGIN, COMMIT, UNFENCE, and what a crash or a lost command makes of them."""

from __future__ import annotations

from collections.abc import Iterator

from tests.cache.model import states
from tests.cache.model.rules import CRASH, FENCE_EARLY, FENCE_LOST, UNFENCE_LOST, Rules, Setting
from tests.cache.model.states import (
    ANNOUNCED,
    COMMITTED,
    DEAD,
    DONE,
    DOWN,
    IN_TRANSACTION,
    MAY_YET_COMMIT,
    NOTHING,
    OPEN,
    ORPHAN,
    OWED,
    READY,
    ROLLED_BACK,
    SILENT,
    UP,
    WAITING,
    WAITING_OWING,
    State,
    Writer,
    fenced,
    published,
    with_writer,
    without_leases,
)

type Step = tuple[str, int, State]

CRASHES = {READY: DEAD, OPEN: ORPHAN, COMMITTED: OWED, ROLLED_BACK: DEAD}


def writer_steps(state: State, rules: Rules, setting: Setting) -> Iterator[Step]:
    locked = any(writer.at in IN_TRANSACTION for writer in state.writers)
    previous: Writer | None = None
    for who, writer in enumerate(state.writers):
        if writer == previous:
            continue  # whatever this one can do, its twin has done
        previous = writer
        match writer.at:
            case states.IDLE:
                yield from fence(state, who, rules, setting)
            case states.READY:
                if not locked:
                    yield "BEGIN", who, state._replace(writers=with_writer(state, who, writer._replace(at=OPEN)))
            case states.OPEN:
                yield "COMMIT", who, committed(state, who, COMMITTED)
                yield "ROLLBACK", who, moved(state, who, ROLLED_BACK)
            case states.ORPHAN:
                yield "COMMIT of the dead", who, committed(state, who, OWED)
                yield "ROLLBACK of the dead", who, moved(state, who, DEAD)
            case states.COMMITTED | states.ROLLED_BACK | states.OWED:
                yield from close(state, who, rules, setting)
            case states.WAITED:
                yield "ACK", who, acknowledged(state, who, DONE)
            case states.WAITED_OWING:
                yield "ACK", who, acknowledged(state, who, OWED)
            case states.SILENT:
                worker = published(state.worker, writer.version)
                yield "PUBLISH", who, state._replace(worker=worker, writers=with_writer(state, who, Writer(DONE)))
        if CRASH in setting.faults and writer.at in CRASHES:
            yield "writer dies", who, moved(state, who, CRASHES[writer.at])
        yield from fence_expires(state, who, setting)


def moved(state: State, who: int, at: str) -> State:
    """To a place, forgetting what no longer matters there, so that equal futures are equal states."""
    writer = state.writers[who]
    fence = DOWN if writer.fence != UP and at not in MAY_YET_COMMIT else writer.fence
    if at == DEAD and fence == DOWN:
        at = DONE
    version = 0 if at in (DONE, DEAD) else writer.version
    answered = writer.answered and at in (OPEN, COMMITTED)
    return state._replace(writers=with_writer(state, who, Writer(at, version, fence, answered)))


def fence(state: State, who: int, rules: Rules, setting: Setting) -> Iterator[Step]:
    if FENCE_LOST in setting.faults:
        # A strict write answers 503 here, before BEGIN.
        refused = setting.strict and rules.strict_needs_fence
        yield "FENCE lost", who, moved(state, who, DONE if refused else READY)
    if not rules.fences:
        yield "no FENCE", who, moved(state, who, READY)
        return
    announced = setting.local and rules.fence_announces
    relied_on = setting.strict and not rules.strict_needs_unfence
    after = state._replace(
        writers=with_writer(state, who, Writer(READY, fence=UP, answered=relied_on)),
        entry=NOTHING if rules.fence_drops_entry else state.entry,
        readers=without_leases(state.readers) if rules.fence_drops_lease else state.readers,
        worker=published(state.worker, ANNOUNCED) if announced else state.worker,
    )
    yield "FENCE", who, after


def committed(state: State, who: int, at: str) -> State:
    version = state.version + 1
    written = state.writers[who]._replace(version=version)
    return moved(state._replace(version=version, writers=with_writer(state, who, written)), who, at)


def close(state: State, who: int, rules: Rules, setting: Setting) -> Iterator[Step]:
    at = state.writers[who].at
    if at == OWED:
        yield "RELAY unfences", who, moved(unfenced(state, who, rules, setting), who, DONE)
        return
    if at == ROLLED_BACK:
        yield "UNFENCE after ROLLBACK", who, moved(unfenced(state, who, rules, setting), who, DONE)
        if UNFENCE_LOST in setting.faults:
            yield "UNFENCE lost", who, moved(state, who, DEAD)
        return
    after = unfenced(state, who, rules, setting)
    if setting.strict and rules.waits_when_strict:
        yield "UNFENCE", who, moved(after, who, WAITING)
    elif not rules.publishes_before_ack:
        yield "UNFENCE, ACK", who, acknowledged(after, who, SILENT)
    else:
        yield "UNFENCE, ACK", who, acknowledged(after, who, DONE)
    if UNFENCE_LOST in setting.faults:
        yield from unfence_lost(state, who, rules, setting)


def unfence_lost(state: State, who: int, rules: Rules, setting: Setting) -> Iterator[Step]:
    if not setting.strict:
        yield "UNFENCE lost, ACK", who, acknowledged(state, who, OWED)
    elif state.writers[who].answered:
        yield "UNFENCE lost", who, moved(state, who, WAITING_OWING)
    elif not rules.strict_needs_unfence:
        yield "UNFENCE lost, no ACK", who, moved(state, who, OWED)
    # Else a strict write tries again, which is to stay where it is.


def unfenced(state: State, who: int, rules: Rules, setting: Setting) -> State:
    writer = state.writers[who]
    mine = with_writer(state, who, writer._replace(fence=DOWN))
    if not rules.fence_for_each_write:
        mine = tuple(other._replace(fence=DOWN) for other in mine)
    state = state._replace(writers=mine)
    if writer.fence != UP and rules.unfence_invalidates:
        state = state._replace(entry=NOTHING, readers=without_leases(state.readers))
    written = writer.at != ROLLED_BACK
    if rules.writers_fill and written and not fenced(state):
        state = state._replace(entry=writer.version)
    # What a rolled back write publishes only drops more than it must: the model does without.
    if setting.local and written and (rules.publishes_before_ack or writer.at == OWED):
        state = state._replace(worker=published(state.worker, writer.version))
    return state


def acknowledged(state: State, who: int, at: str) -> State:
    return moved(state._replace(acked=max(state.acked, state.writers[who].version)), who, at)


def fence_expires(state: State, who: int, setting: Setting) -> Iterator[Step]:
    """A fence outlives its transaction (assumption A1), but not a writer that is slow to unfence."""
    writer = state.writers[who]
    over = writer.at not in MAY_YET_COMMIT
    if writer.fence == UP and (over or FENCE_EARLY in setting.faults):
        lowered = state._replace(writers=with_writer(state, who, writer._replace(fence=DOWN)))
        yield "FENCE expires" if over else "FENCE expires early", who, moved(lowered, who, writer.at)
