"""Every state that can be reached, breadth first, so that the first broken promise found has the shortest story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.cache.model.reading import HOLDS_LEASE, reader_steps
from tests.cache.model.rules import Rules, Setting
from tests.cache.model.states import ANNOUNCED, HEARTBEAT, NOTHING, UP, Reader, State, Writer, canonical
from tests.cache.model.surroundings import NOBODY, surrounding_steps
from tests.cache.model.writing import Step, writer_steps


@dataclass(slots=True)
class Exploration:
    setting: Setting
    states: int = 0
    steps: int = 0
    taken: Counter[str] = field(default_factory=Counter)
    broken: str = ""
    story: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        found = f"BROKEN, {self.broken}" if self.broken else "no promise broken"
        return f"{self.setting}: {self.states:,} states, {self.steps:,} steps, {found}"


def steps_from(state: State, rules: Rules, setting: Setting) -> Iterator[Step]:
    yield from writer_steps(state, rules, setting)
    yield from reader_steps(state, rules, setting)
    yield from surrounding_steps(state, rules, setting)


def explore(rules: Rules, setting: Setting) -> Exploration:
    """Stops at the first broken promise, or when there is nothing new."""
    found = Exploration(setting)
    start = canonical(State((Writer(),) * setting.writers, (Reader(),) * setting.readers))
    parents: dict[State, State | None] = {start: None}
    level = [start]
    while level and not found.broken:
        following: list[State] = []
        for state in level:
            for kind, _, raw in steps_from(state, rules, setting):
                found.steps += 1
                found.taken[kind] += 1
                after = canonical(raw)
                if after in parents:
                    continue
                parents[after] = state
                following.append(after)
                if after.broken:
                    found.broken = after.broken
                    found.story = story(path_to(after, parents), rules, setting)
                    found.states = len(parents)
                    return found
        level = following
    found.states = len(parents)
    return found


def path_to(state: State, parents: dict[State, State | None]) -> list[State]:
    path = [state]
    while (parent := parents[path[-1]]) is not None:
        path.append(parent)
    return path[::-1]


def story(path: list[State], rules: Rules, setting: Setting) -> list[str]:
    """The path told with writers and readers that keep their numbers, which canonical states do not."""
    told: list[str] = []
    state = path[0]
    for after in path[1:]:
        kind, who, state = next(step for step in steps_from(state, rules, setting) if canonical(step[2]) == after)
        told.append(f"{len(told) + 1:2}. {actor(kind, who):9} {kind:28} {summary(state, setting)}")
    return [*told, f"    {state.broken}"]


def actor(kind: str, who: int) -> str:
    if who == NOBODY:
        return ""
    # A reader's steps are told from a writer's by their words.
    return f"{'reader' if kind.startswith(READER_WORDS) else 'writer'} {who}"


MESSAGES = {HEARTBEAT: "beat", ANNOUNCED: "fence"}
READER_WORDS = ("GET", "LEASE", "no LEASE", "SELECT", "FILL", "local", "kept", "not kept")


def summary(state: State, setting: Setting) -> str:
    held = [f"fence of writer {who}" for who, writer in enumerate(state.writers) if writer.fence == UP]
    held += [f"lease of reader {who}" for who, reader in enumerate(state.readers) if reader.lease in HOLDS_LEASE]
    told = [f"SQL {state.version}", f"entry {shown(state.entry)}", *held]
    if setting.local:
        worker = state.worker
        queue = [MESSAGES.get(message, str(message)) for message in worker.queue]
        trust = "trusted" if worker.fresh else "in doubt"
        told += [f"local {shown(worker.entry)} {trust}", f"on the way [{' '.join(queue)}]"]
    return ", ".join([*told, f"acked {state.acked}"])


def shown(version: int) -> str:
    return "-" if version == NOTHING else str(version)
