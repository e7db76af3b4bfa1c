"""What happens around reads and writes: time, messages, evictions, a Redis that restarts, a connection that is cut.

Delta is one tick, and a tick may fall between any two steps. The local tier is served only when the echoed heartbeat
was sent since the last tick; a read must know what was acknowledged before the last tick. That loses no real fault: if
a read at t missed a write acknowledged before t - Delta, on an echo sent after t - Delta, put a tick between the two.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.cache.model.rules import CUT, EVICTION, GUARD_EARLY, RESTART, Rules, Setting
from tests.cache.model.states import (
    DOOMED,
    DOWN,
    HEARTBEAT,
    MAY_YET_COMMIT,
    NOTHING,
    WAITED,
    WAITED_OWING,
    WAITING,
    WAITING_OWING,
    WIPED,
    State,
    Worker,
    Writer,
    published,
    without_leases,
    without_placeholders,
)
from tests.cache.model.writing import Step, moved

NOBODY = -1
WAITS = {WAITING: WAITED, WAITING_OWING: WAITED_OWING}


def surrounding_steps(state: State, rules: Rules, setting: Setting) -> Iterator[Step]:
    if EVICTION in setting.faults and state.entry != NOTHING:
        yield "entry evicted", NOBODY, state._replace(entry=NOTHING)
    if RESTART in setting.faults:
        yield "Redis restarts", NOBODY, restarted(state, rules)
    if state.cold and not any(writer.fence == WIPED for writer in state.writers):
        # The guard lasts longer than any transaction and, after that, than any lease.
        yield "Redis is warm", NOBODY, state._replace(cold=False, readers=without_leases(state.readers, (DOOMED,)))
    elif state.cold and GUARD_EARLY in setting.faults:
        yield "Redis is warm too soon", NOBODY, state._replace(cold=False)
    if setting.local:
        yield "Delta passes", NOBODY, ticked(state)
        yield from worker_steps(state, rules, setting)


def restarted(state: State, rules: Rules) -> State:
    """Everything in Redis is gone, or out of reach under the old run_id; without namespaces an old snapshot is back."""

    def wiped(writer: Writer) -> Writer:
        if writer.fence == DOWN:
            return writer
        return writer._replace(fence=WIPED if writer.at in MAY_YET_COMMIT else DOWN)

    after = state._replace(
        entry=NOTHING if rules.namespaces else 0,
        cold=True,
        writers=tuple(wiped(writer) for writer in state.writers),
        readers=without_leases(state.readers),
        worker=state.worker._replace(subscribed=False, queue=()),
    )
    for who, writer in enumerate(after.writers):
        after = moved(after, who, writer.at)
    return after


def ticked(state: State) -> State:
    # An echo of a heartbeat from before the tick would prove nothing any more.
    queue = tuple(message for message in state.worker.queue if message != HEARTBEAT)
    return state._replace(
        due=state.acked,
        worker=state.worker._replace(fresh=False, queue=queue),
        writers=tuple(writer._replace(at=WAITS.get(writer.at, writer.at)) for writer in state.writers),
    )


def worker_steps(state: State, rules: Rules, setting: Setting) -> Iterator[Step]:
    worker = state.worker
    if not worker.subscribed:
        yield "worker sees the cut", NOBODY, noticed(state, rules)
        return
    if not worker.fresh and HEARTBEAT not in worker.queue:
        yield "heartbeat sent", NOBODY, state._replace(worker=published(worker, HEARTBEAT))
    if worker.queue:
        yield "heard", NOBODY, heard(state)
    if CUT in setting.faults:
        cut = worker._replace(subscribed=False, queue=())
        yield "subscription cut", NOBODY, state._replace(worker=cut)


def heard(state: State) -> State:
    message, *rest = state.worker.queue
    worker = state.worker._replace(queue=tuple(rest))
    if message == HEARTBEAT:
        return state._replace(worker=worker._replace(fresh=True))
    kept = worker.entry if worker.entry >= message else NOTHING
    return state._replace(worker=worker._replace(entry=kept), readers=without_placeholders(state.readers))


def noticed(state: State, rules: Rules) -> State:
    if not rules.clears_when_cut_off:
        return state._replace(worker=state.worker._replace(subscribed=True))
    return state._replace(worker=Worker(), readers=without_placeholders(state.readers))
