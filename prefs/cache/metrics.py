"""What the tiers tell about themselves: the protocol they speak, silence, and Prometheus.

Labels are kinds, tiers and outcomes, never an id.
"""

from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

from prefs.telemetry import BUCKETS, Tally

_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_AGES = (0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class CacheMetrics(Protocol):
    def served(self, kind: str, tier: str, count: int = 1) -> None:
        """Reads of a kind answered by a tier: local, shared, store or stale."""
        ...

    def flight(self, keys: int, requests: int) -> None:
        """A coalesced load of so many keys for so many requests."""
        ...

    def leased(self, outcome: str) -> None:
        """A miss asked for a lease: granted, busy, fenced, cold or found."""
        ...

    def fenced(self, outcome: str) -> None:
        """A step of a write: raised, not_raised, lifted, not_lifted, gone (invalidated instead), repaired, given_up."""
        ...

    def breaker(self, state: str) -> None:
        """The circuit to Redis is closed, open or half_open now."""
        ...

    def given_up(self) -> None:
        """A call to Redis failed or was given up."""
        ...

    def waited(self, seconds: float) -> None:
        """Time until a connection to Redis was free."""
        ...

    def heard(self, age_s: float) -> None:
        """How old the newest heartbeat was when it came back."""
        ...

    def doubted(self, reason: str) -> None:
        """All local entries were distrusted: lost, subscribed anew, or closed."""
        ...

    def held(self, entries: int, size_bytes: int) -> None:
        """What the local tier holds."""
        ...


class Silence:
    """For tests and for stores that nobody watches."""

    def served(self, kind: str, tier: str, count: int = 1) -> None: ...

    def flight(self, keys: int, requests: int) -> None: ...

    def leased(self, outcome: str) -> None: ...

    def fenced(self, outcome: str) -> None: ...

    def breaker(self, state: str) -> None: ...

    def given_up(self) -> None: ...

    def waited(self, seconds: float) -> None: ...

    def heard(self, age_s: float) -> None: ...

    def doubted(self, reason: str) -> None: ...

    def held(self, entries: int, size_bytes: int) -> None: ...


SILENCE = Silence()

_SERVED = Counter("guestprefs_cache_served", "Reads answered, by kind and tier.", ["kind", "tier"])
_FLIGHT_KEYS = Histogram("guestprefs_cache_flight_keys", "Keys loaded together.", buckets=_COUNTS)
_FLIGHT_REQUESTS = Histogram("guestprefs_cache_flight_requests", "Requests served by one load.", buckets=_COUNTS)
_LEASES = Counter("guestprefs_cache_leases", "Leases asked for after a miss.", ["outcome"])
_FENCES = Counter("guestprefs_cache_fences", "Fences of writes.", ["outcome"])
_BREAKER = Gauge("guestprefs_cache_breaker", "The circuit to Redis: 1 for the state it is in.", ["state"])
_GIVEN_UP = Counter("guestprefs_cache_given_up", "Calls to Redis that failed or were given up.")
_WAITS = Histogram("guestprefs_cache_wait_seconds", "Waiting for a connection to Redis.", buckets=BUCKETS)
_HEARD = Histogram("guestprefs_cache_heartbeat_seconds", "Age of a heartbeat when it came back.", buckets=_AGES)
_DOUBTS = Counter("guestprefs_cache_doubts", "Times that all local entries were distrusted.", ["reason"])
_ENTRIES = Gauge("guestprefs_cache_local_entries", "Entries in process memory.")
_BYTES = Gauge("guestprefs_cache_local_bytes", "Estimated size of what is in process memory.")
_STATES = ("closed", "open", "half_open")


class PrometheusMetrics:
    """One a process. What the hot path tells is tallied; it all comes from the event loop's thread."""

    def __init__(self) -> None:
        self._served: dict[tuple[str, str], Tally] = {}

    def served(self, kind: str, tier: str, count: int = 1) -> None:
        found = self._served.get((kind, tier))
        if found is None:
            found = self._served[kind, tier] = Tally(_SERVED.labels(kind, tier))
        found.count += count

    def flight(self, keys: int, requests: int) -> None:
        _FLIGHT_KEYS.observe(keys)
        _FLIGHT_REQUESTS.observe(requests)

    def leased(self, outcome: str) -> None:
        _LEASES.labels(outcome).inc()

    def fenced(self, outcome: str) -> None:
        _FENCES.labels(outcome).inc()

    def breaker(self, state: str) -> None:
        for name in _STATES:
            _BREAKER.labels(name).set(name == state)

    def given_up(self) -> None:
        _GIVEN_UP.inc()

    def waited(self, seconds: float) -> None:
        _WAITS.observe(seconds)

    def heard(self, age_s: float) -> None:
        _HEARD.observe(age_s)

    def doubted(self, reason: str) -> None:
        _DOUBTS.labels(reason).inc()

    def held(self, entries: int, size_bytes: int) -> None:
        _ENTRIES.set(entries)
        _BYTES.set(size_bytes)
