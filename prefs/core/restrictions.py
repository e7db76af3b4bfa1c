"""Mandatory policies: they restrict what won, brand first, then property, and never invent a value.

Only policies based on law or safety touch a need. Where brand and property leave nothing in common, the brand's is
applied, then the property's, and the property's result stands (resolving rule 16).
"""

from collections.abc import Sequence as Ordered
from dataclasses import dataclass
from typing import Any

from prefs.core import elements
from prefs.core.catalogue import Definition
from prefs.core.elements import Part
from prefs.core.resolved import Step
from prefs.core.rooms import Policy, PolicyLevel
from prefs.core.values import Integer, Object, Quantity

POLICY_MIN = "POLICY_MIN"
POLICY_MAX = "POLICY_MAX"
POLICY_CHOICE = "POLICY_CHOICE"
POLICY_FORBIDDEN = "POLICY_FORBIDDEN"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Canonical integers that policies leave open; None where they leave a side open."""

    low: int | None = None
    high: int | None = None

    def hold(self, value: int) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True, slots=True)
class Restricted:
    """A value after the policies. `policy` is the last that changed it, None where none did; `parts` as `elements`."""

    value: Any
    parts: list[Part] | None
    bounds: Bounds
    policies: tuple[Policy, ...]
    steps: tuple[Step, ...] = ()
    policy: Policy | None = None
    code: str = ""
    limit: int | None = None

    def allows(self, one: str) -> bool:
        return all(allows(policy, one) for policy in self.policies)


def allows(policy: Policy, one: str) -> bool:
    return one not in policy.forbidden and (policy.allowed is None or one in policy.allowed)


def applicable(policies: Ordered[Policy], need: bool) -> tuple[Policy, ...]:
    """In the order of application: the last stands, so a tie within a level is the greater id's."""
    touching = [p for p in policies if p.basis.may_touch_needs or not need]
    return tuple(sorted(touching, key=lambda p: (p.level is PolicyLevel.PROPERTY, p.id)))


def restrict(definition: Definition, value: Any, policies: tuple[Policy, ...], refused: frozenset[str]) -> Restricted:
    parts = elements.parts(definition, value)
    if not policies:
        return Restricted(value, parts, Bounds(), ())
    restricted = Restricted(value, parts, _common(policies), policies)
    for policy in policies:
        if policy.minimum is not None or policy.maximum is not None:
            restricted = _held(definition, restricted, policy)
    if restricted.parts is None:
        return restricted
    choosing = tuple(p for p in policies if p.allowed is not None or p.forbidden)
    for together in _passes(definition, choosing):
        restricted = _chosen(definition, restricted, together, refused)
    return restricted


def _common(policies: Ordered[Policy]) -> Bounds:
    """What all ranges leave open together; where two leave nothing, the later one alone counts."""
    common = Bounds()
    for policy in policies:
        if policy.minimum is None and policy.maximum is None:
            continue
        lows = [low for low in (common.low, policy.minimum) if low is not None]
        highs = [high for high in (common.high, policy.maximum) if high is not None]
        low, high = max(lows, default=None), min(highs, default=None)
        if low is not None and high is not None and low > high:
            low, high = policy.minimum, policy.maximum
        common = Bounds(low, high)
    return common


def _held(definition: Definition, so_far: Restricted, policy: Policy) -> Restricted:
    """One range applied to the value, or to each quantity of an object."""
    kind, value = definition.kind, so_far.value
    if isinstance(kind, Object):
        numbers = {n: value[n] for n, part in kind.fields.items() if isinstance(part, Quantity) and n in value}
    elif isinstance(kind, (Quantity, Integer)):
        numbers = {"": value}
    else:
        return so_far
    code, limit = "", None
    for name, number in numbers.items():
        if policy.minimum is not None and number < policy.minimum:
            code, limit = POLICY_MIN, policy.minimum
        elif policy.maximum is not None and number > policy.maximum:
            code, limit = POLICY_MAX, policy.maximum
        else:
            continue
        numbers[name] = limit
    if not code:
        return so_far
    after = value | numbers if isinstance(kind, Object) else numbers[""]
    return _changed(so_far, after, so_far.parts, code, policy, limit)


def _changed(
    so_far: Restricted, after: Any, parts: list[Part] | None, code: str, policy: Policy, limit: int | None = None
) -> Restricted:
    step = Step(code, so_far.value, after)
    return Restricted(after, parts, so_far.bounds, so_far.policies, (*so_far.steps, step), policy, code, limit)


def _passes(definition: Definition, choosing: tuple[Policy, ...]) -> list[tuple[Policy, ...]]:
    """All policies at once where they leave any choice in common, else the brand's and then the property's."""
    every = elements.universe(definition)
    if not every or any(all(allows(p, one) for p in choosing) for one in every):
        return [choosing] if choosing else []
    levels = [tuple(p for p in choosing if p.level is level) for level in (PolicyLevel.BRAND, PolicyLevel.PROPERTY)]
    return [level for level in levels if level]


def _chosen(
    definition: Definition, so_far: Restricted, together: tuple[Policy, ...], refused: frozenset[str]
) -> Restricted:
    if so_far.value is None or so_far.parts is None:
        return so_far

    def allowed(one: str) -> bool:
        return all(allows(policy, one) for policy in together)

    remaining, gone = elements.substitute(definition, so_far.parts, allowed, allowed, refused)
    if not gone:
        return so_far
    blamed = [p for p in together if not all(allows(p, part.id) for part in so_far.parts)][-1]
    after = elements.whole(definition, so_far.value, remaining)
    return _changed(so_far, after, remaining, POLICY_FORBIDDEN if after is None else POLICY_CHOICE, blamed)
