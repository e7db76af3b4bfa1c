"""What must hold of every answer, whatever was stated and wherever it is read: tried on drawn documents and facts.

Under CI Hypothesis draws the same examples every time (its own `ci` profile); elsewhere new ones.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from prefs.core import units, values
from prefs.core.candidates import gather, moment
from prefs.core.catalogue import GUEST_SURFACE, PURPOSES, Catalogue, Definition, Merge, Showing
from prefs.core.entries import (
    PROFILE,
    Consent,
    Context,
    Document,
    Entry,
    Provenance,
    ProvenanceKind,
    Scope,
    ScopeKind,
    Strength,
)
from prefs.core.ranking import CLASS_ORDER
from prefs.core.resolve import resolve
from prefs.core.resolved import Effective, Resolved, Status
from prefs.core.rooms import Basis, Force, Policy, PolicyLevel, Property, Range
from prefs.core.stays import Facts, Stay
from prefs.core.values import Quantity, Sequence
from prefs.core.views import render
from tests.core import strategies as drawn
from tests.core.sights import usual
from tests.core.strategies import BEGIN, BRAND, GUEST, HOUSE, ROOM, canonical, standard

DEFINITIONS = tuple(standard())
TEMPERATURE = standard().definitions["climate.temperature.occupied"]
UNIONS = tuple(d for d in DEFINITIONS if d.merge is Merge.UNION and isinstance(d.kind, Sequence))
CLASS = {member: -place for place, members in enumerate(CLASS_ORDER) for member in members}
tried = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
NEVER_OF_SPECIAL = (ProvenanceKind.OBSERVED, ProvenanceKind.INFERRED)
ALL_CONSENTS = tuple(Consent(purpose, BEGIN, GUEST, "guest_app") for purpose in PURPOSES)


@st.composite
def questions(draw: st.DrawFn) -> tuple[Document, Facts, tuple[Entry, ...], str]:
    """Everything that is asked at once: few keys, so that their entries meet."""
    definitions = draw(drawn.some_definitions())
    document, facts = draw(drawn.documents(definitions)), draw(drawn.facts(definitions))
    return document, facts, draw(drawn.presses(definitions, facts.at)), draw(drawn.surfaces)


@tried
@given(questions())
def test_the_same_question_has_the_same_answer(asked: tuple[Document, Facts, tuple[Entry, ...], str]) -> None:
    document, facts, live, surface = asked
    first = resolve(standard(), document, facts, sight=usual(surface), live=live, explain=True)
    assert resolve(standard(), document, facts, sight=usual(surface), live=live, explain=True) == first


@tried
@given(questions(), st.randoms(use_true_random=False))
def test_the_order_of_what_is_known_says_nothing(
    asked: tuple[Document, Facts, tuple[Entry, ...], str], shuffled: Any
) -> None:
    document, facts, live, surface = asked

    def mixed[T](things: tuple[T, ...]) -> tuple[T, ...]:
        return tuple(shuffled.sample(things, len(things)))

    house = facts.property
    other_facts = replace(facts, property=replace(house, policies=mixed(house.policies))) if house else facts
    other = replace(document, entries=mixed(document.entries), consents=mixed(document.consents))
    expected = resolve(standard(), document, facts, sight=usual(surface), live=live)
    assert resolve(standard(), other, other_facts, sight=usual(surface), live=mixed(live)) == expected


@tried
@given(questions())
def test_explaining_changes_no_answer(asked: tuple[Document, Facts, tuple[Entry, ...], str]) -> None:
    document, facts, live, surface = asked
    plain = resolve(standard(), document, facts, sight=usual(surface), live=live)
    explained = resolve(standard(), document, facts, sight=usual(surface), live=live, explain=True)
    assert {key: replace(one, losers=()) for key, one in explained.effective.items()} == plain.effective
    assert explained.valid_until == plain.valid_until


@tried
@given(questions(), st.data())
def test_asking_for_keys_changes_no_answer(
    asked: tuple[Document, Facts, tuple[Entry, ...], str], data: DataObject
) -> None:
    document, facts, live, surface = asked
    whole = resolve(standard(), document, facts, sight=usual(surface), live=live)
    keys = data.draw(st.lists(st.sampled_from([d.key for d in DEFINITIONS]), max_size=5)) + sorted(document.keys)
    part = resolve(standard(), document, facts, sight=usual(surface), live=live, keys=keys)
    known = {key: one for key, one in part.effective.items() if one.layer is not None or key in whole.effective}
    assert known == {key: one for key, one in whole.effective.items() if key in keys}
    assert all(one.status is Status.DEFAULT for key, one in part.effective.items() if key not in known)


@tried
@given(questions())
def test_an_answer_holds_until_it_says_so(asked: tuple[Document, Facts, tuple[Entry, ...], str]) -> None:
    document, facts, live, surface = asked
    answer = resolve(standard(), document, facts, sight=usual(surface), live=live)
    assert answer.valid_until is not None and answer.valid_until > facts.at
    for later in (
        answer.valid_until - timedelta(microseconds=1),
        facts.at + (answer.valid_until - facts.at) / 2,
    ):
        again = resolve(standard(), document, replace(facts, at=later), sight=usual(surface), live=live)
        assert again == answer


@tried
@given(questions())
def test_every_surface_gets_json_and_its_own_keys_only(asked: tuple[Document, Facts, tuple[Entry, ...], str]) -> None:
    document, facts, live, surface = asked
    answer = resolve(standard(), document, facts, sight=usual(surface), live=live, explain=True)
    shown = render(standard(), answer, usual(surface), standard().labels["en"], explain=True)
    json.dumps(shown, allow_nan=False)
    for key, member in shown.items():
        showing = standard().definitions[key].surfaces[surface]
        assert ("value" in member) == (showing is Showing.VALUE)
        assert showing is Showing.VALUE or not member.keys() & {"reason", "layer", "entered", "not", "considered"}


@tried
@given(questions())
def test_no_value_without_consent(asked: tuple[Document, Facts, tuple[Entry, ...], str]) -> None:
    """Whatever is special came in under a purpose of the surface that reads it."""
    document, facts, live, surface = asked
    answer = resolve(standard(), document, facts, sight=usual(surface), live=live)
    entries = {entry.id: entry for entry in (*document.entries, *live)}
    for key, one in answer.effective.items():
        definition = standard().definitions[key]
        consented = definition.purpose_at(surface) in document.purposes_at(facts.at)
        winner = entries.get(one.entry)
        if winner is not None and definition.is_special(winner.strength, winner.value):
            assert consented
        if one.status is Status.WITHHELD_NO_CONSENT:
            assert surface == GUEST_SURFACE and one.value is None and not one.nots and not consented


def said(
    definition: Definition, value: Any, number: int, strength: Strength, way: ProvenanceKind, scope: Scope
) -> Entry:
    provenance = Provenance(way, GUEST, "guest_app", BEGIN)
    return Entry(f"prf_{number}", definition.key, value, strength, scope, Context(), provenance, version=number)


def answer_for(definition: Definition, entries: tuple[Entry, ...], facts: Facts, **more: Any) -> Effective | None:
    document = Document(GUEST, 9, entries, consents=ALL_CONSENTS)
    return resolve(standard(), document, facts, keys=[definition.key], **more).effective.get(definition.key)


@tried
@given(
    st.data(),
    st.sampled_from([d for d in DEFINITIONS if d.merge is Merge.REPLACE and Strength.REQUIRED in d.strengths]),
)
def test_a_need_is_never_overruled_by_a_wish(data: DataObject, definition: Definition) -> None:
    """Of the same or a lower class; who takes part is asked of the gatherer, the judgement is made here."""
    document = replace(data.draw(drawn.documents((definition,))), consents=ALL_CONSENTS)
    way = data.draw(st.sampled_from([way for way in drawn.WAYS if way not in NEVER_OF_SPECIAL]))
    value = canonical(definition.kind, data.draw(drawn.acceptable(definition.kind)))
    need = said(definition, value, 99, Strength.REQUIRED, way, PROFILE)
    kept = tuple(e for e in document.entries if e.strength is not Strength.UNACCEPTABLE)
    document = replace(document, entries=(*kept, need))
    facts = data.draw(drawn.facts((definition,)))
    now = moment(facts, usual(GUEST_SURFACE), document.purposes_at(facts.at))
    taking_part = gather(standard(), definition, document, (), now, False).positives
    needs = [c for c in taking_part if c.strength is Strength.REQUIRED]
    answer = resolve(standard(), document, facts).effective[definition.key]
    winner = next(c for c in taking_part if c.id == answer.entry)
    assert winner.strength is Strength.REQUIRED or CLASS[winner.known_as] > max(CLASS[n.known_as] for n in needs)


@tried
@given(
    st.data(), st.sampled_from([d for d in DEFINITIONS if isinstance(d.kind, Quantity) and d.clamp.value != "never"])
)
def test_a_clamp_lies_inside_the_range_and_changes_no_entry(data: DataObject, definition: Definition) -> None:
    kind, need = definition.kind, definition.capability
    assert isinstance(kind, Quantity) and need is not None
    device = data.draw(drawn.ranges(kind))
    value = canonical(kind, data.draw(drawn.written(kind)))
    strength = data.draw(st.sampled_from([Strength.REQUIRED, Strength.PREFERRED]))
    entry = said(definition, value, 1, strength, ProvenanceKind.STATED, PROFILE)
    house = Property(HOUSE, BRAND, capabilities={need.name: device}, rooms={ROOM: {need.name: device}})
    stay = Stay("stay_1", GUEST, HOUSE, BEGIN, BEGIN + timedelta(days=2), ROOM)
    document = Document(GUEST, 1, (entry,))
    before = repr(document)
    answer = resolve(standard(), document, Facts(BEGIN, house, stay)).effective[definition.key]
    low, high = (
        units.canonical(bound, device.unit, kind.unit, kind.resolution) for bound in (device.minimum, device.maximum)
    )
    assert low <= answer.value <= high
    assert repr(document) == before
    if low <= value <= high:
        assert answer.status is Status.APPLIED
        assert abs(answer.value - value) * kind.resolution <= _step(device, kind)
    else:
        assert answer.status is (Status.UNMET if strength.is_need else Status.CLAMPED)
        assert answer.reason is not None and answer.reason.requested == value


def _step(device: Range, kind: Quantity) -> Fraction:
    """One step of the device, and the rounding to the catalogue's resolution, in the catalogue's unit."""
    zero, one = (units.convert(number, device.unit, kind.unit) for number in (0, device.step or 0))
    return one - zero + kind.resolution


@tried
@given(st.data(), st.sampled_from(UNIONS))
def test_unions_only_grow_when_something_is_added(data: DataObject, definition: Definition) -> None:
    kind = definition.kind
    assert isinstance(kind, Sequence)
    document = data.draw(drawn.documents((definition,)))
    positives = tuple(e for e in document.entries if definition.fixed_strength or not e.strength.is_negative)
    more = replace(data.draw(drawn.entries(definition, 99)), expires_at=None)
    assume(definition.fixed_strength or not more.strength.is_negative)
    facts = Facts(BEGIN + timedelta(hours=12), Property(HOUSE, BRAND))
    fewer, all_of_it = answer_for(definition, positives, facts), answer_for(definition, (*positives, more), facts)
    assert fewer is not None and all_of_it is not None
    assert set(kind.element_id(i) for i in fewer.value or ()) <= set(kind.element_id(i) for i in all_of_it.value or ())


@tried
@given(st.data(), st.sampled_from([d for d in DEFINITIONS if d.merge is Merge.STRICTEST and d.strictest_order]))
def test_a_strictest_key_only_gets_stricter_when_something_is_added(data: DataObject, definition: Definition) -> None:
    order = definition.strictest_order
    values_said = data.draw(st.lists(st.sampled_from(order), min_size=1, max_size=4))
    scopes = [PROFILE, Scope(ScopeKind.BRAND, BRAND), Scope(ScopeKind.PROPERTY, HOUSE)]
    entries = tuple(
        said(definition, value, n, Strength.PREFERRED, ProvenanceKind.STATED, data.draw(st.sampled_from(scopes)))
        for n, value in enumerate(values_said)
    )
    facts = Facts(BEGIN, Property(HOUSE, BRAND))
    fewer, all_of_it = answer_for(definition, entries[:-1], facts), answer_for(definition, entries, facts)
    assert all_of_it is not None and all_of_it.value == max(values_said, key=order.index)
    if len(entries) > 1:
        assert fewer is not None and order.index(fewer.value) <= order.index(all_of_it.value)


@tried
@given(st.data(), st.sampled_from([d for d in DEFINITIONS if isinstance(d.kind, Quantity)]))
def test_what_was_entered_comes_back_digit_for_digit(data: DataObject, definition: Definition) -> None:
    kind = definition.kind
    assert isinstance(kind, Quantity)
    number, unit = data.draw(drawn.quantities(kind))
    value = canonical(kind, number, unit)
    entry = replace(
        said(definition, value, 1, Strength.PREFERRED, ProvenanceKind.STATED, PROFILE),
        entered=drawn.typed(number, unit),
    )
    answer = resolve(standard(), Document(GUEST, 1, (entry,), consents=ALL_CONSENTS), Facts(BEGIN))
    echo = _over_the_wire(answer)[definition.key]["entered"]
    assert (echo["value"], echo["unit"]) == (number, unit)


def _over_the_wire(answer: Resolved) -> dict[str, Any]:
    text = json.dumps(render(standard(), answer, usual(GUEST_SURFACE), standard().labels["en"]))
    received: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return received


@tried
@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**7), max_value=10**7))
def test_any_number_of_twelve_digits_survives_the_way_through_json(number: Decimal) -> None:
    assert json.loads(json.dumps(units.plain(units.parse_number(number))), parse_float=Decimal) == number


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda d: d.key)
@settings(tried, max_examples=15)
@given(data=st.data())
def test_canonical_form_is_reached_once(data: DataObject, definition: Definition) -> None:
    """Showing a value and writing it again gives the same value: nothing drifts however often an app saves it."""
    value = canonical(definition.kind, data.draw(drawn.acceptable(definition.kind)))
    shown = json.loads(json.dumps(definition.kind.show(value)), parse_float=Decimal)
    assert canonical(definition.kind, shown) == value
    assert definition.kind.show(canonical(definition.kind, shown)) == definition.kind.show(value)


@tried
@given(st.data(), st.sampled_from([q for d in DEFINITIONS for q in values.quantities(d.kind)]))
def test_conversion_there_and_back_is_the_identity(data: DataObject, kind: Quantity) -> None:
    value = data.draw(st.integers(kind.minimum, kind.maximum))
    for unit in kind.accepts:
        there = units.convert(kind.exact(value), kind.unit, unit)
        assert units.canonical(there, unit, kind.unit, kind.resolution) == value


@tried
@given(st.data(), st.booleans())
def test_a_mandatory_policy_restricts_and_never_invents(data: DataObject, stated: bool) -> None:
    low, high = sorted(data.draw(st.tuples(st.integers(1600, 3000), st.integers(1600, 3000))))
    policy = Policy("p", TEMPERATURE.key, PolicyLevel.PROPERTY, Force.MANDATORY, Basis.ENERGY)
    facts = Facts(BEGIN, Property(HOUSE, BRAND, policies=(replace(policy, minimum=low, maximum=high),)))
    value = data.draw(st.integers(1600, 3000))
    wish = said(TEMPERATURE, value, 1, Strength.PREFERRED, ProvenanceKind.STATED, PROFILE)
    answer = resolve(standard(), Document(GUEST, 1, (wish,) if stated else ()), facts).effective.get(TEMPERATURE.key)
    if not stated:
        assert answer is None
        return
    assert answer is not None and answer.value == min(max(value, low), high)
    assert (answer.status is Status.APPLIED) == (low <= value <= high)


def test_the_catalogue_itself_is_never_changed() -> None:
    """The strategies share one catalogue: an answer that changed it would make every other test lie."""
    assert [d.key for d in standard()] == [d.key for d in Catalogue(DEFINITIONS, standard().areas.values())]
