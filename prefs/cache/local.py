"""The local tier: copies in process memory, bounded by bytes, served only while their truth is vouched for.

An entry is fresh while it belongs to the present epoch and the newest heartbeat that came back over this process's
subscription was sent less than DELTA_S ago: one connection delivers in order, so by then every invalidation before it
was heard too. A lost connection begins a new epoch, and everything from before is distrusted at once. What is
distrusted stays, for answers marked stale while SQL is down, up to 15 minutes; after a withdrawal nothing stays.

Whoever loads puts down an expectation before asking the next tier, and keeps what it got only if the expectation
still lies there: an invalidation in between takes it away. The heartbeat's thread writes here too, so every change is
made under a lock; reading takes none.

What belongs to one guest lies packed, as it goes to the shared tier: a fifth of its decoded size, and mostly only the
answers prepared from it are asked for. The few values that everybody's answers need lie as they are.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from prefs.cache.codec import decode
from prefs.cache.keys import kind_of
from prefs.cache.metrics import SILENCE, CacheMetrics

DELTA_S = 0.2
TTL_S = 60.0  # an end to whatever no message ever came for
NEGATIVE_TTL_S = 5.0
STALE_MAX_S = 900.0
BYTES_MAX = 64 * 2**20
PREPARED_MAX = 32  # answers laid beside one value
ENDED_MAX = 64  # epochs remembered for the age of what they left behind
_NO_EPOCH = -1

UNPACKED_MAX = 128  # values of guests kept decoded beside their packed copies: who is read from several sides at once

# Measured (see the test of footprints), rounded up: a copy with its key and its place in the tables; text of a record.
_COPY_BYTES, _RECORD_FACTOR = 450, 12


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An answer ready to be sent, under its name; it holds while `parts`, the other copies it was made from, do."""

    name: Hashable
    answer: Any
    parts: "tuple[Kept, ...]"
    size_bytes: int


@dataclass(slots=True, eq=False)
class Kept:
    """One value with its version (0: there is no such thing), packed if it is bytes, and answers that share its life.

    `seal` is of the entry in the shared tier that this is a copy of, where it is known. A copy that was dropped or
    doubted is of no epoch, so that whoever still points at it knows."""

    key: str
    held: Any
    version: int
    size_bytes: int
    epoch: int
    loaded_at: float
    doubted_at: float | None = None
    used: bool = False
    seal: bytes = b""
    answers: tuple[Prepared, ...] = ()


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
        ttl_s: float = TTL_S,
        negative_ttl_s: float = NEGATIVE_TTL_S,
    ) -> None:
        self._ttl_s, self._negative_ttl_s = ttl_s, negative_ttl_s
        self._unpacked: OrderedDict[str, tuple[Kept, Any]] = OrderedDict()
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

    def keys(self) -> list[str]:
        """Of all copies, whether they hold or not."""
        with self._lock:
            return list(self._kept)

    # ------------------------------------------------------------ reading

    def attend(self) -> None:
        """Called once before a run of reads or loads, for a tier that has to look whether it may be trusted."""

    def trusted(self) -> bool:
        return self._monotonic() - self._vouched_at < self._delta_s

    def fresh(self, key: str, version: int = 0) -> Kept | None:
        """The copy, if it is vouched for and at least at this version. No lock."""
        kept = self._kept.get(key)
        if kept is None or kept.version < version or not self._holds(kept, self._monotonic()):
            return None
        kept.used = True
        return kept

    def _holds(self, kept: Kept, now: float) -> bool:
        return (
            kept.epoch == self._epoch
            and now - self._vouched_at < self._delta_s
            and now - kept.loaded_at < (self._ttl_s if kept.version else self._negative_ttl_s)
        )

    def ready(self, key: str, name: Hashable, version: int = 0) -> Prepared | None:
        """The answer laid beside a copy, if that and all others it was made from hold. The hottest lines of the house:
        what `_holds` says, once for all."""
        kept = self._kept.get(key)
        if kept is None or kept.version < version:
            return None
        epoch, now, ttl_s = self._epoch, self._monotonic(), self._ttl_s
        if kept.epoch != epoch or now - self._vouched_at >= self._delta_s or now - kept.loaded_at >= ttl_s:
            return None
        for found in kept.answers:
            if found.name == name:
                break
        else:
            return None
        for part in found.parts:
            if part.epoch != epoch or now - part.loaded_at >= ttl_s:
                return None
            part.used = True
        kept.used = True
        return found

    def known(self, key: str, name: Hashable, version: int = 0) -> tuple[Kept, Prepared] | None:
        """The answer laid beside a copy whether it holds or not: for whoever finds out otherwise."""
        kept = self._kept.get(key)
        if kept is None or kept.version < version:
            return None
        found = next((prepared for prepared in kept.answers if prepared.name == name), None)
        return None if found is None else (kept, found)

    def value(self, kept: Kept) -> Any:
        """What a copy says. A few are kept unpacked, so that many questions about one guest unpack once."""
        if not isinstance(kept.held, bytes):
            return kept.held
        key = kept.key
        found = self._unpacked.get(key)
        if found is not None and found[0] is kept:
            return found[1]
        value = decode(kind_of(key), kept.held)
        with self._lock:
            if self._kept.get(key) is kept:
                self._unpacked[key] = kept, value
                self._unpacked.move_to_end(key)
                if len(self._unpacked) > UNPACKED_MAX:
                    self._unpacked.popitem(last=False)
        return value

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

    def keep(
        self,
        key: str,
        expected: Expectation,
        held: Any,
        version: int,
        namespace: str | None,
        seal: bytes = b"",
    ) -> Kept | None:
        """Keep what was loaded; the copy if it is fresh, because nothing was heard about it since. `namespace` is the
        server that was asked; None says that no server was: then the copy only ever serves as stale."""
        now = self._monotonic()
        with self._lock:
            undisturbed = self._expected.get(key) is expected
            if undisturbed:
                del self._expected[key]
                undisturbed = version >= expected.version
            here = namespace is not None and namespace == self._namespace
            fresh = undisturbed and here and expected.epoch == self._epoch
            if not fresh and (not undisturbed or version == 0):
                return None  # a withdrawal may have been heard
            epoch, doubted_at = (self._epoch, None) if fresh else (_NO_EPOCH, now)
            kept = self._kept.get(key)
            if kept is not None and kept.version == version and kept.held == held:
                # The same again: what was prepared from it is as right as before. A load that nobody vouches for takes
                # nothing from a copy that is vouched for.
                if fresh or kept.epoch == _NO_EPOCH:
                    kept.loaded_at, kept.doubted_at, kept.seal = now, doubted_at, seal or kept.seal
                    kept.epoch = epoch
            else:
                self._drop(key)
                kept = Kept(key, held, version, footprint(held), epoch, now, doubted_at, seal=seal)
                self._kept[key] = kept
                self._bytes += kept.size_bytes
                self._shrink()
            self._metrics.held(len(self._kept), self._bytes)
        return kept if fresh else None

    def give_up(self, key: str, expected: Expectation) -> None:
        """What was expected did not come."""
        with self._lock:
            if self._expected.get(key) is expected:
                del self._expected[key]

    def prepare(self, kept: Kept, prepared: Prepared) -> None:
        """Lay a prepared answer beside a copy it was made from; it goes when that goes, and counts with it."""
        with self._lock:
            if self._kept.get(kept.key) is not kept:
                return
            # The oldest goes where there are too many: questions that nobody repeats must not pile up.
            others = tuple(found for found in kept.answers if found.name != prepared.name)[1 - PREPARED_MAX :]
            gone = sum(found.size_bytes for found in kept.answers) - sum(found.size_bytes for found in others)
            kept.answers = (*others, prepared)
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
                self._let_go(kept)

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._let_go(kept)

    def _let_go(self, kept: Kept) -> None:
        self._unpacked.pop(kept.key, None)
        kept.epoch = _NO_EPOCH
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
        """Something may have been missed: nothing is fresh, and nothing that is being loaded will be. Said once: where
        nobody listens, what is loaded is kept for when the store is gone, each time that listening fails again."""
        if self._namespace:
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


def footprint(held: Any) -> int:
    """About how many bytes a copy takes; a bound needs the right size, not the exact one."""
    if isinstance(held, bytes):
        return _COPY_BYTES + len(held)
    if isinstance(held, tuple):  # the extension of the catalogue
        return _COPY_BYTES + sum(footprint(record) for record in held[1])
    body = getattr(held, "body", None)
    return _COPY_BYTES + (_RECORD_FACTOR * len(str(body)) if body else 0)
