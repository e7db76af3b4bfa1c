"""How much one caller may ask, and all devices and staff of one property together: token buckets, in requests.

Each process has buckets of its own and asks nobody before it answers. A caller's purse holds a few requests paid in
advance out of the caller's bucket and the property's, so that the hot read takes from it with one subtraction. Once a
second the process tells the shared counts (Redis) what was taken and pays back out of its buckets what others gave
away meanwhile: over time all processes together give what one may. Without those counts each process gives that much,
and nobody waits. Flooding therefore costs a caller its own allowance and nobody else's.
"""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from api.auth import Verifier
from api.middleware import RawHeaders, Refusal
from prefs import telemetry
from prefs.core.callers import Caller, Role
from prefs.ports import Clock, CountsUnavailable, SharedCounts

IN_ADVANCE = 32  # requests that a purse is given at once at most; as rarely does the hot read look at the buckets
BUSY_S = 1.0  # who comes back for more within this is given twice as many, anybody else just the one
BURST_S = 10  # a bucket holds what comes in so many seconds
BUCKETS_MAX = 50_000
PURSES_MAX = 10_000  # as many as tokens are remembered
SETTLE_S = 1.0
SETTLED_MAX = 64  # buckets told in one round, the busiest first: it takes a few milliseconds
SETTLED_SHARE = 1 / 16  # of what comes in a second; who took less is far from any limit
UNLIMITED = 2**62

STATUS, CODE = 429, "RATE_LIMITED"
CALLER, PROPERTY = "caller", "property"
_DETAILS = {
    CALLER: "This caller asks more than it may; nothing was done. Try again when Retry-After has passed.",
    PROPERTY: "The callers of this property ask more than they may; nothing was done. Try again when Retry-After "
    "has passed.",
}
_COUNTED = "guestprefs.counted"  # key of the ASGI scope: this request has been paid for
_BEARER = b"Bearer "
_LIMITED = Counter("guestprefs_requests_limited", "Requests refused with 429 RATE_LIMITED.", ["policy"])
_UNSETTLED = Counter("guestprefs_allowance_unsettled", "Rounds in which the shared counts did not answer.")
_log = telemetry.logger("allowance")


class Bucket:
    """What one name may still ask here; `rate` comes in a second, and it holds BURST_S seconds of that."""

    __slots__ = ("at", "heard", "heard_at", "key", "level", "most", "policy", "rate", "spent")

    def __init__(self, policy: str, name: str, rate: int, now: float) -> None:
        digest = hashlib.blake2b(f"{policy}:{name}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        self.policy, self.key, self.rate = policy, digest, rate
        self.most = float(rate * BURST_S)
        self.level, self.at = self.most, now
        self.spent = 0  # since the counts were told
        self.heard, self.heard_at = -1, now  # what the counts said, when

    def take(self, wanted: int, now: float) -> int:
        """As many of these as there are."""
        self.level = min(self.most, self.level + (now - self.at) * self.rate)
        self.at = now
        given = max(0, min(wanted, int(self.level)))
        self.level -= given
        self.spent += given
        return given

    def give_back(self, unused: int) -> None:
        self.level += unused
        self.spent -= unused

    def wait_s(self) -> int:
        """Whole seconds until there is something again."""
        return max(1, -int(-(1 - self.level) // self.rate))

    def hear(self, total: int, told: int, now: float) -> None:
        """Pay for what the other processes gave away since these counts were heard last."""
        if self.heard >= 0:
            others = total - told - self.heard if total >= self.heard + told else total - told
            recent = min(1.0, SETTLE_S / max(SETTLE_S, now - self.heard_at))
            self.level = max(-self.most, self.level - others * recent)
        self.heard, self.heard_at = total, now

    def is_full(self, now: float) -> bool:
        return self.level + (now - self.at) * self.rate >= self.most


class Purse:
    """What one caller has been given in advance. The hot read takes from `left` itself."""

    __slots__ = ("_at_once", "_buckets", "_filled_at", "left", "refused")

    def __init__(self, buckets: tuple[Bucket, ...]) -> None:
        self._buckets = buckets
        self._at_once, self._filled_at = 0, 0.0
        self.left = 0 if buckets else UNLIMITED
        self.refused: Bucket | None = None

    def fill(self, now: float) -> bool:
        """Take the next few out of every bucket, or as many as the emptiest has. False when that is none.

        A thousand devices that ask now and then must not each hold a share that their property then lacks."""
        self._at_once = min(IN_ADVANCE, 2 * self._at_once) if now - self._filled_at < BUSY_S else 1
        self._filled_at = now
        granted = self._at_once
        for number, bucket in enumerate(self._buckets):
            given = bucket.take(granted, now)
            for earlier in self._buckets[:number]:
                earlier.give_back(granted - given)
            granted = given
            if not granted:
                self.refused = bucket
                return False
        self.left += granted
        return True

    def take(self, now: float) -> bool:
        if self.left <= 0 and not self.fill(now):
            return False
        self.left -= 1
        return True


class Allowance:
    """All purses and buckets of a process. A rate of 0 is no limit."""

    def __init__(
        self,
        caller_rate: int,
        service_rate: int,
        property_rate: int,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self._rates = {role: service_rate if role in (Role.SERVICE, Role.OPERATOR) else caller_rate for role in Role}
        self._property_rate = property_rate
        self.clock = clock
        # By the identity of the object that a verified token is remembered with. Those objects are kept here as well,
        # so that no other has that identity meanwhile. All tokens of one caller share a purse.
        self.purses: dict[int, Purse] = {}
        self._callers: dict[int, Caller] = {}
        self._by_caller: dict[tuple[Role, str, frozenset[str]], Purse] = {}
        self._buckets: dict[tuple[str, str], Bucket] = {}

    def purse_of(self, caller: Caller) -> Purse:
        purse = self.purses.get(id(caller))
        if purse is None:
            while len(self.purses) >= PURSES_MAX:
                oldest = next(iter(self.purses))
                del self.purses[oldest], self._callers[oldest]
            while len(self._by_caller) >= PURSES_MAX:
                del self._by_caller[next(iter(self._by_caller))]
            named = caller.role, caller.subject, caller.properties
            purse = self._by_caller.get(named)
            if purse is None:
                purse = self._by_caller[named] = Purse(tuple(self._buckets_of(caller)))
            self.purses[id(caller)], self._callers[id(caller)] = purse, caller
        return purse

    def _buckets_of(self, caller: Caller) -> list[Bucket]:
        found = []
        if self._rates[caller.role]:
            found.append(self._bucket(CALLER, f"{caller.role.value}:{caller.subject}", self._rates[caller.role]))
        if caller.properties and self._property_rate and caller.role in (Role.STAFF, Role.DEVICE):
            # Who works at several properties shares with those who work at the same ones.
            found.append(self._bucket(PROPERTY, ",".join(sorted(caller.properties)), self._property_rate))
        return found

    def _bucket(self, policy: str, name: str, rate: int) -> Bucket:
        now = self.clock()
        if len(self._buckets) >= BUCKETS_MAX:
            self._buckets = {key: bucket for key, bucket in self._buckets.items() if not bucket.is_full(now)}
        while len(self._buckets) >= BUCKETS_MAX:
            del self._buckets[next(iter(self._buckets))]
        return self._buckets.setdefault((policy, name), Bucket(policy, name, rate, now))

    def refusal(self, purse: Purse) -> tuple[str, RawHeaders]:
        """Which policy refuses, and the fields that say so and until when."""
        bucket = purse.refused
        assert bucket is not None
        _LIMITED.labels(bucket.policy).inc()
        wait = bucket.wait_s()
        policy = b'"%s";q=%d;w=%d' % (bucket.policy.encode(), int(bucket.most), BURST_S)
        return bucket.policy, [
            (b"retry-after", b"%d" % wait),
            (b"ratelimit-policy", policy),
            (b"ratelimit", b'"%s";r=0;t=%d' % (bucket.policy.encode(), wait)),
        ]

    def admit(self, scope: Scope, caller: Caller) -> None:
        """Count a request whose caller only the route could tell. Raises HTTPException 429."""
        if _COUNTED in scope:
            return
        scope[_COUNTED] = True
        purse = self.purse_of(caller)
        if not purse.take(self.clock()):
            policy, headers = self.refusal(purse)
            told = {name.decode(): value.decode() for name, value in headers}
            raise HTTPException(STATUS, _DETAILS[policy], told)

    async def settle(self, counts: SharedCounts) -> None:
        """Tell the counts what was taken here, and hear what others took."""
        told = [b for b in self._buckets.values() if b.spent > b.rate * SETTLED_SHARE]
        told.sort(key=lambda bucket: bucket.spent / bucket.rate, reverse=True)
        for bucket in told[:SETTLED_MAX]:
            spent = bucket.spent
            total = await counts.add(bucket.key, spent)
            bucket.spent -= spent
            bucket.hear(total, spent, self.clock())

    async def keep_settling(self, counts: SharedCounts) -> None:
        while True:
            await asyncio.sleep(SETTLE_S)
            try:
                await self.settle(counts)
            except CountsUnavailable:
                _UNSETTLED.inc()


class RateLimit:
    """ASGI middleware: refuses a known caller before anything is done for it. It stands before the places that are
    given to work, so that a flood takes none of them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._refusals = {policy: Refusal(STATUS, CODE, detail) for policy, detail in _DETAILS.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        purse = _purse_of(scope) if scope["type"] == "http" else None
        if purse is not None:
            allowance: Allowance = scope["app"].state.allowance
            if not purse.take(allowance.clock()):
                policy, headers = allowance.refusal(purse)
                await self._refusals[policy].send(scope, send, headers)
                return
            scope[_COUNTED] = True
        await self.app(scope, receive, send)


def _purse_of(scope: Scope) -> Purse | None:
    """Of a caller whose token was verified lately; any other is known only once the route has verified it."""
    state = scope["app"].state
    allowance: Allowance = state.allowance
    if state.house is None:
        return None
    for name, value in scope["headers"]:
        if name == b"authorization":
            clock: Clock = state.house.clock
            verifier: Verifier = state.verifier
            caller = verifier.known(value[len(_BEARER) :], clock.now().timestamp()) if value[:7] == _BEARER else None
            return None if caller is None else allowance.purse_of(caller)
    return None


async def stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
