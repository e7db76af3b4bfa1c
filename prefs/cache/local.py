"""The local tier: decoded values in process memory, bounded by bytes, served only while their truth is vouched for.

An entry is fresh while it belongs to the present epoch and the newest heartbeat that came back over this process's
subscription was sent less than DELTA_S ago: one connection delivers in order, so by then every invalidation before it
was heard too. A lost connection begins a new epoch, and everything from before is distrusted at once. What is
distrusted stays, for answers marked stale while SQL is down, up to 15 minutes; after a withdrawal nothing stays.

Whoever loads puts down an expectation before asking the next tier, and keeps what it got only if the expectation
still lies there: an invalidation in between takes it away. The heartbeat's thread writes here too, so every change is
made under a lock; reading takes none.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from prefs.cache.metrics import SILENCE, CacheMetrics
from prefs.core.entries import Document
from prefs.ports import Lodging

DELTA_S = 0.2
TTL_S = 60.0  # an end to whatever no message ever came for
NEGATIVE_TTL_S = 5.0
STALE_MAX_S = 900.0
BYTES_MAX = 64 * 2**20
PREPARED_MAX = 32  # answers laid beside one value
ENDED_MAX = 64  # epochs remembered for the age of what they left behind
_NO_EPOCH = -1

# Measured sizes of the parts of a decoded value (see the test of footprints), rounded up.
_VALUE_BYTES, _ENTRY_BYTES, _RECORD_FACTOR = 900, 1100, 12


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An answer ready to be sent, and every value it was made from, by key: it holds only beside these very values."""

    answer: Any
    parts: tuple[tuple[str, Any], ...]
    size_bytes: int


@dataclass(slots=True, eq=False)
class Kept:
    """One value with its version (0: there is no such thing), and bytes prepared from it that share its life."""

    value: Any
    version: int
    size_bytes: int
    epoch: int
    loaded_at: float
    expires_at: float
    doubted_at: float | None = None
    used: bool = False
    prepared: dict[Hashable, Prepared] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Expectation:
    """Someone is loading this key; in which epoch it was put down, and the newest version heard of since."""

    epoch: int
    version: int = 0


class LocalTier:
    def __init__(
        self,
        bytes_max: int = BYTES_MAX,
        metrics: CacheMetrics = SILENCE,
        monotonic: Callable[[], float] = time.monotonic,
        delta_s: float = DELTA_S,
    ) -> None:
        self._bytes_max = bytes_max
        self._metrics = metrics
        self._monotonic = monotonic
        self._delta_s = delta_s
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._expected: dict[str, Expectation] = {}
        self._bytes = 0
        self._epoch = 0
        self._namespace = ""
        self._vouched_at = float("-inf")
        self._ended: OrderedDict[int, float] = OrderedDict()

    @property
    def delta_s(self) -> float:
        return self._delta_s

    @property
    def namespace(self) -> str | None:
        """Who vouches for the entries at present: a server, or for an embedded store its file."""
        return self._namespace or None

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def __len__(self) -> int:
        return len(self._kept)

    # ------------------------------------------------------------ reading

    def attend(self) -> None:
        """Called once before a run of reads or loads, for a tier that has to look whether it may be trusted."""

    def trusted(self) -> bool:
        return self._monotonic() - self._vouched_at < self._delta_s

    def fresh(self, key: str, version: int = 0) -> Kept | None:
        """The entry, if it is vouched for and at least at this version. The hottest line of the house: no lock."""
        kept = self._kept.get(key)
        if kept is None or kept.epoch != self._epoch or kept.version < version:
            return None
        now = self._monotonic()
        if now - self._vouched_at >= self._delta_s or now >= kept.expires_at:
            return None
        kept.used = True
        return kept

    def ready(self, key: str, name: Hashable, version: int = 0) -> Prepared | None:
        """The answer laid beside a value, if it and all others it was made from are fresh and still the very same."""
        kept = self.fresh(key, version)
        found = kept.prepared.get(name) if kept is not None else None
        if found is None:
            return None
        for part, value in found.parts:
            present = self.fresh(part)
            if present is None or present.value is not value:
                return None
        return found

    def stale(self, key: str, version: int = 0) -> tuple[Kept, float] | None:
        """For answers while SQL is down: what was known, and how long ago it was last known to be true."""
        kept = self._kept.get(key)
        if kept is None or kept.version < version:
            return None
        with self._lock:
            age_s = max(0.0, self._monotonic() - self._last_true(kept))
        return (kept, age_s) if age_s <= STALE_MAX_S else None

    def _last_true(self, kept: Kept) -> float:
        if kept.doubted_at is not None:
            return kept.doubted_at
        vouched = self._vouched_at if kept.epoch == self._epoch else self._ended.get(kept.epoch, kept.loaded_at)
        return max(kept.loaded_at, vouched)

    # ------------------------------------------------------------ filling

    def expect(self, key: str) -> Expectation:
        """Put down before asking the next tier. The newest expectation of a key is the one that counts."""
        with self._lock:
            found = self._expected[key] = Expectation(self._epoch)
        return found

    def keep(self, key: str, expected: Expectation, value: Any, version: int, namespace: str | None) -> bool:
        """Keep what was loaded, as fresh if nothing was heard about it since; `namespace` is the server that was asked.

        None says that no server was: then the value only ever serves as stale."""
        now = self._monotonic()
        with self._lock:
            undisturbed = self._expected.get(key) is expected
            if undisturbed:
                del self._expected[key]
                undisturbed = version >= expected.version
            here = namespace is not None and namespace == self._namespace
            fresh = undisturbed and here and expected.epoch == self._epoch
            if not fresh and (not undisturbed or version == 0):
                return False  # a withdrawal may have been heard
            ttl_s = TTL_S if version else NEGATIVE_TTL_S
            epoch, doubted_at = (self._epoch, None) if fresh else (_NO_EPOCH, now)
            self._drop(key)
            kept = Kept(value, version, footprint(value), epoch, now, now + ttl_s, doubted_at)
            self._kept[key] = kept
            self._bytes += kept.size_bytes
            self._shrink()
            self._metrics.held(len(self._kept), self._bytes)
        return fresh

    def give_up(self, key: str, expected: Expectation) -> None:
        """What was expected did not come."""
        with self._lock:
            if self._expected.get(key) is expected:
                del self._expected[key]

    def prepare(self, key: str, kept: Kept, name: Hashable, prepared: Prepared) -> None:
        """Lay a prepared answer beside a value it was made from; it goes when that goes, and counts with it."""
        with self._lock:
            if self._kept.get(key) is not kept:
                return
            gone = 0
            if name in kept.prepared:
                gone = kept.prepared.pop(name).size_bytes
            elif len(kept.prepared) >= PREPARED_MAX:  # the oldest: questions nobody repeats must not pile up
                gone = kept.prepared.pop(next(iter(kept.prepared))).size_bytes
            kept.prepared[name] = prepared
            kept.size_bytes += prepared.size_bytes - gone
            self._bytes += prepared.size_bytes - gone
            self._shrink()

    def _shrink(self) -> None:
        """Second chance: who was read since the last round stays; ids asked for once leave first."""
        while self._bytes > self._bytes_max and self._kept:
            key, kept = self._kept.popitem(last=False)
            if kept.used:
                kept.used = False
                self._kept[key] = kept
            else:
                self._bytes -= kept.size_bytes

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= kept.size_bytes

    def close(self) -> None:
        """Nothing to let go of here."""

    # ------------------------------------------------------------ what is heard

    def hear(self, key: str, version: int, *, purge: bool = False) -> None:
        """Someone is writing or has written this version (0: not known). After `purge` not even a stale copy stays."""
        with self._lock:
            if expected := self._expected.get(key):
                expected.version = max(expected.version, version)
                if purge or not version:
                    del self._expected[key]
            kept = self._kept.get(key)
            if kept is None:
                return
            if purge:
                self._drop(key)
            elif kept.epoch != _NO_EPOCH and not 0 < version <= kept.version:
                kept.doubted_at = self._last_true(kept)
                kept.epoch = _NO_EPOCH

    def vouch(self, sent_at: float) -> None:
        """A heartbeat came back that was sent at this monotonic time."""
        if sent_at > self._vouched_at:
            self._vouched_at = sent_at
        self._metrics.heard(self._monotonic() - sent_at)

    def subscribe(self, namespace: str) -> None:
        """Invalidations are heard from now on, from this server; what was going on before may have missed some."""
        self._begin(namespace, "subscribed")

    def distrust(self, reason: str = "lost") -> None:
        """Something may have been missed: nothing is fresh, and nothing that is being loaded will be."""
        self._begin("", reason)

    def _begin(self, namespace: str, reason: str) -> None:
        with self._lock:
            self._ended[self._epoch] = self._vouched_at
            if len(self._ended) > ENDED_MAX:
                self._ended.popitem(last=False)
            self._vouched_at = float("-inf")
            self._epoch += 1
            self._namespace = namespace
            self._expected.clear()
        self._metrics.doubted(reason)


def footprint(value: Any) -> int:
    """About how many bytes a decoded value takes; a bound needs the right size, not the exact one."""
    if isinstance(value, Document):
        return _VALUE_BYTES + _ENTRY_BYTES * (len(value.entries) + len(value.identifiers) + len(value.consents))
    if isinstance(value, Lodging):
        return _VALUE_BYTES + _ENTRY_BYTES * (len(value.stays) + sum(map(len, value.live.values())))
    if isinstance(value, tuple):  # the extension of the catalogue
        return _VALUE_BYTES + sum(footprint(record) for record in value[1])
    body = getattr(value, "body", None)
    return _VALUE_BYTES + (_RECORD_FACTOR * len(str(body)) if body else 0)
