"""The cases cannot pass by accident: each planted mistake in the order or in a rule must turn some case red.

Neighbours of the order are swapped through the `rules` that `resolve` takes; other mistakes are planted in what the
resolver is asked or in how it is asked, so that its own code stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest

from prefs.core import ranking
from prefs.core.catalogue import Catalogue, Clamp, Definition, Merge, Sensitivity
from prefs.core.entries import ANY_TIME, AXES, Entry, ProvenanceKind, Strength
from prefs.core.ranking import CLASS_ORDER, RULES, SCOPE_ORDER, Candidate, Rule
from prefs.core.resolve import resolve
from prefs.core.resolved import Resolved
from prefs.core.rooms import Basis, Capability, Force, Policy, Property, Range
from prefs.core.values import Quantity
from tests.core.replay import Question, Resolver, ask, cases, differences
from tests.core.sights import usual


def red(resolver: Resolver) -> Iterator[str]:
    """Titles of the cases that a resolver answers wrongly."""
    return (case.title for case in cases() if differences(case, resolver))


def noticed(resolver: Resolver) -> bool:
    """Whether any case is red; stops at the first one."""
    return next(red(resolver), None) is not None


def ordered_by(rules: Sequence[Rule]) -> Resolver:
    def resolver(asked: Question) -> Resolved:
        return resolve(
            asked.catalogue,
            asked.document,
            asked.facts,
            keys=asked.keys,
            sight=usual(asked.surface),
            live=asked.live,
            explain=True,
            rules=rules,
        )

    return resolver


def swapped[T](order: Sequence[T], first: int) -> tuple[T, ...]:
    changed = list(order)
    changed[first], changed[first + 1] = changed[first + 1], changed[first]
    return tuple(changed)


def with_rule(old: Rule, new: Rule) -> Resolver:
    return ordered_by([new if rule is old else rule for rule in RULES])


def test_the_order_itself_leaves_no_case_red() -> None:
    assert list(red(ordered_by(RULES))) == []


@pytest.mark.parametrize("first", range(len(RULES) - 1), ids=lambda i: f"{RULES[i].__name__}-{RULES[i + 1].__name__}")
def test_swapping_neighbouring_rules_is_noticed(first: int) -> None:
    assert noticed(ordered_by(swapped(RULES, first)))


@pytest.mark.parametrize("gone", range(len(RULES)), ids=lambda i: RULES[i].__name__)
def test_leaving_a_rule_out_is_noticed(gone: int) -> None:
    assert noticed(ordered_by([rule for place, rule in enumerate(RULES) if place != gone]))


@pytest.mark.parametrize(
    "first", range(len(CLASS_ORDER) - 1), ids=lambda i: f"{CLASS_ORDER[i][0]}-{CLASS_ORDER[i + 1][0]}"
)
def test_swapping_neighbouring_provenance_classes_is_noticed(first: int) -> None:
    order = swapped(CLASS_ORDER, first)
    place = {member: -i for i, members in enumerate(order) for member in members}
    assert noticed(with_rule(ranking.provenance_class, lambda candidate: place[candidate.known_as]))


def test_putting_staff_below_the_guest_is_noticed() -> None:
    def staff_below(candidate: Candidate) -> float:
        return candidate.level - (0.5 if candidate.known_as == ProvenanceKind.STATED_VIA_STAFF else 0)

    assert noticed(with_rule(ranking.provenance_class, staff_below))


@pytest.mark.parametrize(
    "first", range(1, len(SCOPE_ORDER) - 1), ids=lambda i: f"{SCOPE_ORDER[i]}-{SCOPE_ORDER[i + 1]}"
)
def test_swapping_neighbouring_scopes_is_noticed(first: int) -> None:
    """Room is left out: only live presses hold there, so its class has decided before."""
    highest = len(SCOPE_ORDER)
    levels = dict(zip(range(highest, 0, -1), swapped(range(highest, 0, -1), first), strict=True))
    assert noticed(with_rule(ranking.scope, lambda candidate: levels.get(candidate.scope, 0)))


@pytest.mark.parametrize("first", range(len(AXES) - 1), ids=lambda i: f"{list(AXES)[i]}-{list(AXES)[i + 1]}")
def test_swapping_neighbouring_axes_is_noticed(first: int) -> None:
    axes = swapped(list(AXES), first)
    assert noticed(
        with_rule(ranking.axis_order, lambda candidate: tuple(bool(getattr(candidate.context, axis)) for axis in axes))
    )


def with_entries(change: Callable[[Question, Entry], Entry | None]) -> Resolver:
    """Asks about a document and presses whose entries were changed, or left out where `change` answers None."""

    def resolver(asked: Question) -> Resolved:
        entries = tuple(e for e in (change(asked, one) for one in asked.document.entries) if e is not None)
        live = tuple(e for e in (change(asked, one) for one in asked.live) if e is not None)
        return ask(replace(asked, document=replace(asked.document, entries=entries), live=live))

    return resolver


def with_property(change: Callable[[Property], Property]) -> Resolver:
    def resolver(asked: Question) -> Resolved:
        place = asked.facts.property
        if place is None:
            return ask(asked)
        return ask(replace(asked, facts=replace(asked.facts, property=change(place))))

    return resolver


def with_definitions(change: Callable[[Definition], Definition]) -> Resolver:
    changed: dict[int, Catalogue] = {}

    def resolver(asked: Question) -> Resolved:
        key = id(asked.catalogue)
        if key not in changed:
            changed[key] = asked.catalogue.extended(map(change, asked.catalogue), {}, version=9)
        return ask(replace(asked, catalogue=changed[key]))

    return resolver


def with_capabilities(change: Callable[[Capability], Capability]) -> Resolver:
    def every(declared: Mapping[str, Capability]) -> dict[str, Capability]:
        return {name: change(capability) for name, capability in declared.items()}

    return with_property(
        lambda place: replace(
            place,
            capabilities=every(place.capabilities),
            rooms={room: every(declared) for room, declared in place.rooms.items()},
        )
    )


def with_policies(change: Callable[[Policy], Policy | None]) -> Resolver:
    return with_property(
        lambda place: replace(place, policies=tuple(p for p in map(change, place.policies) if p is not None))
    )


def _without(members: Mapping[str, Any]) -> Callable[[Definition], Definition]:
    return lambda definition: replace(definition, **members)


def _wider(capability: Capability) -> Capability:
    """A clamp that lets the value lie one step outside the range."""
    if not isinstance(capability, Range):
        return capability
    step = capability.step or Fraction(1)
    return replace(capability, minimum=capability.minimum - step, maximum=capability.maximum + step)


def _stepless(capability: Capability) -> Capability:
    return replace(capability, step=None) if isinstance(capability, Range) else capability


def _tie_upwards(asked: Question, entry: Entry) -> Entry:
    """A hundredth more makes the nearest step of a tie the higher one."""
    kind = asked.catalogue.definitions[entry.key].kind
    tie = isinstance(kind, Quantity) and kind.unit == "Cel" and entry.value is not None and entry.value % 50 == 25
    return replace(entry, value=entry.value + 1) if tie else entry


def _avoid_as_refusal(_: Question, entry: Entry) -> Entry:
    return replace(entry, strength=Strength.UNACCEPTABLE) if entry.strength is Strength.AVOID else entry


def _refusal_as_avoid(asked: Question, entry: Entry) -> Entry:
    fixed = asked.catalogue.definitions[entry.key].fixed_strength
    refused = entry.strength is Strength.UNACCEPTABLE and fixed is None
    return replace(entry, strength=Strength.AVOID) if refused else entry


def _only_positives(asked: Question, entry: Entry) -> Entry | None:
    fixed = asked.catalogue.definitions[entry.key].fixed_strength
    return None if entry.strength.is_negative and fixed is None else entry


def _without_no_preference(_: Question, entry: Entry) -> Entry | None:
    return None if entry.strength is Strength.NO_PREFERENCE else entry


def _expiry_inclusive(_: Question, entry: Entry) -> Entry:
    ends = entry.expires_at
    return replace(entry, expires_at=ends + timedelta(microseconds=1)) if ends else entry


def _never_expiring(_: Question, entry: Entry) -> Entry:
    return replace(entry, expires_at=None)


def _known_as(old: ProvenanceKind, new: ProvenanceKind) -> Callable[[Question, Entry], Entry]:
    def change(_: Question, entry: Entry) -> Entry:
        provenance = entry.provenance
        return replace(entry, provenance=replace(provenance, kind=new)) if provenance.kind is old else entry

    return change


def _every_policy_forced(policy: Policy) -> Policy:
    return replace(policy, force=Force.RECOMMENDED)


def _clamped_anyway(definition: Definition) -> Definition:
    kind = Clamp.NEAREST_IN_RANGE if isinstance(definition.kind, Quantity) else Clamp.NEAREST_CHOICE
    return replace(definition, clamp=kind) if definition.clamp is Clamp.NEVER else definition


def _reversed_fallbacks(definition: Definition) -> Definition:
    return replace(definition, fallbacks={choice: others[::-1] for choice, others in definition.fallbacks.items()})


def _merging(old: Merge, new: Merge) -> Callable[[Definition], Definition]:
    return lambda definition: replace(definition, merge=new) if definition.merge is old else definition


def _laxest(definition: Definition) -> Definition:
    return replace(definition, strictest_order=definition.strictest_order[::-1])


def _never_special(definition: Definition) -> Definition:
    """Forgets to ask for consent."""
    return replace(definition, special_when=None, sensitivity=Sensitivity.P0)


def _at_utc(place: Property) -> Property:
    return replace(place, time_zone="UTC")


def _later(asked: Question) -> Resolved:
    """Windows that end a second early."""
    return ask(replace(asked, facts=replace(asked.facts, at=asked.facts.at + timedelta(seconds=1))))


MUTANTS: dict[str, Resolver] = {
    "a clamp one step outside the range": with_capabilities(_wider),
    "no snapping to steps": with_capabilities(_stepless),
    "a tie goes to the higher step": with_entries(_tie_upwards),
    "avoid touches needs": with_entries(_avoid_as_refusal),
    "refusal weighs no more than avoid": with_entries(_refusal_as_avoid),
    "negatives are ignored": with_entries(_only_positives),
    "no preference inherits": with_entries(_without_no_preference),
    "expiry is inclusive": with_entries(_expiry_inclusive),
    "nothing expires": with_entries(_never_expiring),
    "inferred counts as imported": with_entries(_known_as(ProvenanceKind.INFERRED, ProvenanceKind.IMPORTED)),
    "observed counts as imported": with_entries(_known_as(ProvenanceKind.OBSERVED, ProvenanceKind.IMPORTED)),
    "mandatory policies only recommend": with_policies(_every_policy_forced),
    "every policy may touch a need": with_policies(lambda p: replace(p, basis=Basis.LAW)),
    "no policy may touch a need": with_policies(lambda p: replace(p, basis=Basis.ENERGY)),
    "policies ignore their context": with_policies(lambda p: replace(p, context=ANY_TIME)),
    "union replaces": with_definitions(_merging(Merge.UNION, Merge.REPLACE)),
    "objects replace": with_definitions(_merging(Merge.OBJECT, Merge.REPLACE)),
    "strictest replaces": with_definitions(_merging(Merge.STRICTEST, Merge.REPLACE)),
    "strictest takes the laxest": with_definitions(_laxest),
    "clamp never clamps": with_definitions(_clamped_anyway),
    "fallbacks from behind": with_definitions(_reversed_fallbacks),
    "no fallbacks": with_definitions(_without({"fallbacks": {}})),
    "lists want all": with_definitions(_without({"want_all": True})),
    "lists want the first": with_definitions(_without({"want_all": False})),
    "no catalogue defaults": with_definitions(_without({"default": None})),
    "keys stand for nothing": with_definitions(_without({"stands_for": None})),
    "one purpose for every surface": with_definitions(_without({"purposes": {}})),
    "consent is not asked": with_definitions(_never_special),
    "clocks of the property are ignored": with_property(_at_utc),
    "windows end a second early": _later,
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_mistake_is_noticed(name: str) -> None:
    assert noticed(MUTANTS[name])
