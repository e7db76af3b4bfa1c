"""What is searched: small settings for every run, large ones as a proof, and faults under which less is promised.

A setting's writers write once each, its readers read without end. Its least number of states is what makes the search
a search: a model that stands still is as good as no model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from tests.cache.model.rules import (
    ANNOUNCING,
    CRASH,
    CUT,
    EVICTION,
    FENCE_EARLY,
    FENCE_LOST,
    GUARD_EARLY,
    LENIENT,
    LINEARIZABLE,
    NO_INVERSION,
    NOT_STALE,
    RESTART,
    SPECIFIED,
    TOKEN,
    UNFENCE_LOST,
    WITHDRAWN,
    WITHIN_DELTA,
    Rules,
    Setting,
)


class Search(NamedTuple):
    setting: Setting
    rules: Rules
    least: int


class Limit(NamedTuple):
    """A promise that does not outlive these faults, and what holds all the same."""

    setting: Setting
    rules: Rules
    broken: str
    kept: frozenset[str]


LOCAL_PROMISES: Final = frozenset({NOT_STALE, WITHIN_DELTA})
WITHDRAWAL: Final = frozenset({NOT_STALE, WITHDRAWN})
ORDINARY: Final = frozenset({EVICTION, CRASH, UNFENCE_LOST})
ALL: Final = ORDINARY | {FENCE_LOST, FENCE_EARLY, RESTART, CUT}

CALM: Final = Setting(2, 2, LINEARIZABLE)
SHARED: Final = Setting(2, 2, LINEARIZABLE, ORDINARY)
RESTARTED: Final = Setting(2, 1, LINEARIZABLE, ORDINARY | {RESTART})
UNFENCED: Final = Setting(2, 2, frozenset({NOT_STALE}), frozenset({EVICTION, FENCE_LOST}))
EARLY: Final = Setting(2, 2, frozenset({NOT_STALE}), frozenset({EVICTION, FENCE_EARLY}))
GUARDED: Final = Setting(2, 2, frozenset({NOT_STALE}), frozenset({EVICTION, RESTART, GUARD_EARLY}))
LOCAL: Final = Setting(1, 2, LOCAL_PROMISES, frozenset({EVICTION, CRASH, CUT}), local=True)
LOCAL_LOST: Final = Setting(1, 1, LOCAL_PROMISES, frozenset({UNFENCE_LOST, CUT}), local=True)
LOCAL_RESTARTED: Final = Setting(1, 1, LOCAL_PROMISES, ORDINARY | {CUT, RESTART}, local=True)
STRICT: Final = Setting(1, 1, WITHDRAWAL, ORDINARY | {FENCE_LOST, CUT}, local=True, strict=True)
STRICT_RESTARTED: Final = replace(STRICT, faults=STRICT.faults | {RESTART})
TOKENS: Final = Setting(1, 2, frozenset({TOKEN}), frozenset({FENCE_LOST, UNFENCE_LOST}))
TOKENS_LOCAL: Final = Setting(1, 1, frozenset({TOKEN}), ALL, local=True)


def larger(setting: Setting, writers: int, readers: int, *faults: str) -> Setting:
    return replace(setting, writers=writers, readers=readers, faults=setting.faults | set(faults))


SMALL: Final = (
    Search(CALM, SPECIFIED, 4_000),
    Search(SHARED, SPECIFIED, 18_000),
    Search(RESTARTED, SPECIFIED, 7_000),
    Search(UNFENCED, SPECIFIED, 2_000),
    Search(EARLY, SPECIFIED, 2_000),
    Search(GUARDED, SPECIFIED, 2_000),
    Search(LOCAL, SPECIFIED, 30_000),
    Search(LOCAL_LOST, ANNOUNCING, 4_000),
    Search(LOCAL_RESTARTED, ANNOUNCING, 10_000),
    Search(STRICT, SPECIFIED, 4_000),
    Search(STRICT_RESTARTED, LENIENT, 14_000),
    Search(TOKENS, SPECIFIED, 500),
    Search(TOKENS_LOCAL, SPECIFIED, 11_000),
)

FULL: Final = (
    Search(larger(SHARED, 2, 2, RESTART), SPECIFIED, 59_000),
    Search(larger(SHARED, 2, 3), SPECIFIED, 117_000),
    Search(larger(SHARED, 3, 2, RESTART), SPECIFIED, 839_000),
    Search(larger(UNFENCED, 3, 3, FENCE_EARLY, CRASH), SPECIFIED, 165_000),
    Search(larger(LOCAL, 2, 2), SPECIFIED, 534_000),
    Search(larger(LOCAL, 2, 1, FENCE_LOST, FENCE_EARLY), SPECIFIED, 60_000),
    Search(larger(LOCAL_RESTARTED, 1, 2), ANNOUNCING, 95_000),
    Search(larger(LOCAL_RESTARTED, 2, 1), ANNOUNCING, 268_000),
    Search(larger(STRICT, 1, 2, RESTART), SPECIFIED, 75_000),
    Search(larger(STRICT, 1, 2, RESTART), LENIENT, 134_000),
    Search(larger(STRICT, 2, 1), LENIENT, 419_000),
    Search(larger(TOKENS, 2, 2, EVICTION, CRASH, FENCE_EARLY, RESTART), SPECIFIED, 71_000),
    Search(larger(TOKENS_LOCAL, 1, 2), SPECIFIED, 170_000),
    Search(larger(TOKENS_LOCAL, 2, 1), SPECIFIED, 283_000),
)

LIMITS: Final = (
    Limit(replace(UNFENCED, promises=LINEARIZABLE), SPECIFIED, NO_INVERSION, frozenset({NOT_STALE})),
    Limit(replace(EARLY, promises=LINEARIZABLE), SPECIFIED, NO_INVERSION, frozenset({NOT_STALE})),
    Limit(larger(UNFENCED, 2, 2, UNFENCE_LOST), SPECIFIED, NOT_STALE, frozenset({TOKEN})),
    Limit(larger(EARLY, 2, 2, UNFENCE_LOST), SPECIFIED, NOT_STALE, frozenset({TOKEN})),
    # Why the cold guard has to outlast a write: too short, it costs what a fence that expires early costs.
    Limit(replace(GUARDED, promises=LINEARIZABLE), SPECIFIED, NO_INVERSION, frozenset({NOT_STALE})),
    Limit(larger(GUARDED, 2, 2, UNFENCE_LOST), SPECIFIED, NOT_STALE, frozenset({TOKEN})),
    # Why ANNOUNCING has its three rules.
    Limit(LOCAL_LOST, SPECIFIED, WITHIN_DELTA, frozenset({NOT_STALE})),
    Limit(LOCAL_LOST, Rules(fence_announces=True), WITHIN_DELTA, frozenset({NOT_STALE})),
    Limit(LOCAL_LOST, Rules(forgets_fenced=True), WITHIN_DELTA, frozenset({NOT_STALE})),
    Limit(LOCAL_RESTARTED, replace(ANNOUNCING, forgets_cold=False), WITHIN_DELTA, frozenset({NOT_STALE})),
    Limit(STRICT, replace(LENIENT, fence_announces=False), WITHDRAWN, frozenset({NOT_STALE})),
    Limit(STRICT, replace(LENIENT, forgets_fenced=False), WITHDRAWN, frozenset({NOT_STALE})),
    Limit(STRICT_RESTARTED, replace(LENIENT, forgets_cold=False), WITHDRAWN, frozenset({NOT_STALE})),
)
