"""What won, held against the rules and the room: mandatory policies first, then the capability, then the deadband.

The status names the last rule that changed the value, the reason lists every step. A need that has to be altered is
`unmet` though the nearest possible value is still given; rounding to a device's step alters nothing. The entry itself
is never touched: the next room gets the original wish.
"""

from dataclasses import dataclass, field
from typing import Any

from prefs.core import devices, offers
from prefs.core.candidates import Moment
from prefs.core.catalogue import Clamp, Definition
from prefs.core.entries import Entered
from prefs.core.merging import Merged
from prefs.core.offers import Offered
from prefs.core.ranking import CATALOGUE_DEFAULT, RECOMMENDED_BRAND, RECOMMENDED_PROPERTY
from prefs.core.resolved import Reason, Status, Step
from prefs.core.restrictions import Restricted, applicable, restrict
from prefs.core.rooms import Capability, Choices, Range
from prefs.core.values import Quantity

CAPABILITY_UNKNOWN = "CAPABILITY_UNKNOWN"
NO_PREFERENCE = "NO_PREFERENCE"
STANDS_FOR = "STANDS_FOR"
_DEFAULT_CODES = {
    RECOMMENDED_PROPERTY: "DEFAULT_PROPERTY",
    RECOMMENDED_BRAND: "DEFAULT_BRAND",
    CATALOGUE_DEFAULT: "DEFAULT_CATALOGUE",
}


@dataclass(frozen=True, slots=True)
class Fitted:
    value: Any
    status: Status
    reason: Reason | None = None
    entered: Entered | None = None
    device_value: Any = None


@dataclass(slots=True)
class _Account:
    """What the rules did so far, while one value goes through them."""

    value: Any
    status: Status
    code: str = ""
    altered: bool = False
    steps: list[Step] = field(default_factory=list)
    policy: str = ""
    policy_name: str = ""
    limit: Any = None
    missing: Any = None
    device_value: Any = None

    def alter(self, status: Status, code: str, limit: Any = None) -> None:
        self.altered, self.status, self.code, self.limit = True, status, code, limit

    def step(self, code: str, after: Any) -> None:
        self.steps.append(Step(code, self.value, after))
        self.value = after

    def remark(self, code: str) -> None:
        """A code for a value that counts as applied; a default keeps the code that says whose it is."""
        if not self.altered and self.status is Status.APPLIED:
            self.code = code


def fit(definition: Definition, merged: Merged, refused: frozenset[str], now: Moment) -> Fitted:
    """The value that can be had here, with status and reason. `refused` ids are never chosen as a fallback."""
    winner = merged.winner
    if merged.value is None:
        return Fitted(None, Status.NO_PREFERENCE, Reason(NO_PREFERENCE))
    if winner.is_default:
        account = _Account(merged.value, Status.DEFAULT, _DEFAULT_CODES[winner.layer])
    else:
        account = _Account(merged.value, Status.APPLIED, STANDS_FOR if winner.standing else "")
    if winner.struck and len(merged.contributors) == 1:
        account.steps.append(Step(winner.struck, winner.stated, merged.value))
        account.remark(winner.struck)
    need = merged.strength.is_need and not winner.is_default
    policies = applicable(now.mandatory(definition.key), need)
    actuated = _is_actuated(definition, now)
    if policies or actuated:
        restricted = restrict(definition, merged.value, policies, refused)
        _apply_policy(account, restricted, need)
        if actuated and account.value is not None:
            _apply_capability(account, definition, restricted, refused, now, need)
    return _told(account, merged)


def _is_actuated(definition: Definition, now: Moment) -> bool:
    """Whether a capability is to be looked at: there is one, and the place that declares it is known."""
    wanted = definition.capability
    return wanted is not None and now.property is not None and (wanted.source == "property" or bool(now.room))


def _apply_policy(account: _Account, restricted: Restricted, need: bool) -> None:
    if restricted.policy is None:
        return
    account.steps.extend(restricted.steps)
    account.value = restricted.value
    account.policy, account.policy_name = restricted.policy.id, restricted.policy.name
    account.alter(Status.UNMET if need else Status.SUPPRESSED_BY_POLICY, restricted.code, restricted.limit)


def _apply_capability(
    account: _Account,
    definition: Definition,
    restricted: Restricted,
    refused: frozenset[str],
    now: Moment,
    need: bool,
) -> None:
    wanted = definition.capability
    assert wanted is not None
    if wanted.lineup:
        lineup = now.property.lineup if now.property else None
        if lineup is None:
            _unknown(account, need)
        else:
            _take_offer(account, offers.tune(definition, restricted, lineup, refused), need)
        return
    declared = now.capability(definition)
    if definition.clamp is Clamp.NEVER:
        _measure(account, definition, declared, need)
    elif isinstance(declared, Range):
        driven = devices.drive(definition.kind, account.value, declared, restricted.bounds)
        if driven is None:
            _unknown(account, need)
        else:
            _take_driven(account, driven, need)
    elif isinstance(declared, Choices) and restricted.parts is not None:
        _take_offer(account, offers.choose(definition, restricted, declared, refused), need)
    else:
        _unknown(account, need)


def _unknown(account: _Account, need: bool) -> None:
    """Nothing declared is no promise: a need cannot count as met (resolving rule 19)."""
    if account.altered:
        return
    account.remark(CAPABILITY_UNKNOWN)
    if need:
        account.status = Status.UNMET


def _measure(account: _Account, definition: Definition, declared: Capability | None, need: bool) -> None:
    """Keys that are never approximated: the value stays what was asked and the shortage is told (rule 18)."""
    lacking: Any
    if isinstance(declared, Range) and definition.capability is not None:
        lacking = devices.shortage(definition.kind, account.value, declared, definition.capability)
    elif isinstance(declared, Choices) and not isinstance(definition.kind, Quantity):
        lacking = list(offers.missing(definition, account.value, declared))
    else:
        lacking = None
    if lacking is None:
        _unknown(account, need)
    elif lacking:
        account.missing = lacking
        if account.status is not Status.DEFAULT:
            account.status, account.code = Status.UNMET, offers.CAPABILITY_UNAVAILABLE


def _take_driven(account: _Account, driven: devices.Driven, need: bool) -> None:
    account.value, account.device_value = driven.value, driven.device_value
    account.steps.extend(driven.steps)
    if driven.code:
        account.alter(Status.UNMET if need else Status.CLAMPED, driven.code, driven.limit)
    elif driven.steps:
        account.remark(devices.CAPABILITY_STEP)


def _take_offer(account: _Account, offered: Offered, need: bool) -> None:
    account.device_value = offered.device_value
    if not offered.code:
        return
    account.step(offered.code, offered.value)
    account.missing = list(offered.missing) or None
    if offered.altered:
        account.alter(Status.UNMET if need or offered.value is None else Status.SUBSTITUTED, offered.code)
    else:
        account.remark(offered.code)


def _told(account: _Account, merged: Merged) -> Fitted:
    winner = merged.winner
    own = winner.entered if not winner.struck and merged.value == winner.value else None
    changed = account.value != merged.value or bool(account.steps) or account.missing is not None
    reason = None
    if account.code:
        asked = winner.stated if winner.struck and len(merged.contributors) == 1 else merged.value
        reason = Reason(
            account.code,
            requested=asked if changed else None,
            entered=own if account.altered else None,
            policy=account.policy,
            policy_name=account.policy_name,
            missing=account.missing,
            steps=tuple(account.steps),
            limit=account.limit,
        )
    return Fitted(account.value, account.status, reason, None if account.altered else own, account.device_value)
