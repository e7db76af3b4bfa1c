"""Resolution truth is data: every case of `tests/cases` is replayed, and the collection is held to its promises."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from prefs.core.entries import ScopeKind, Strength
from tests.core.replay import Case, cases, catalogue_of, checked, differences

RULE = re.compile(r"resolving ([1-9]|1\d|2\d)|design \d+(\.\d)?|domain [A-E]\d+|S[1-7]")
WRITE_RULES = {12}  # decided at the write, where nothing is resolved: see `writes.json`


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.title)
def test_case(case: Case) -> None:
    assert differences(case) == []


def test_there_are_enough_cases_and_every_name_is_used_once() -> None:
    names = Counter(case.name for case in cases())
    assert len(names) >= 200
    assert [name for name, count in names.items() if count > 1] == []


def test_every_case_names_the_rule_it_stands_for_and_expects_something() -> None:
    for case in cases():
        assert RULE.fullmatch(case.rule), case.title
        assert case.body.keys() & {"expect", "absent", "valid_until", "losers"}, case.title


def test_every_rule_of_resolving_has_several_cases() -> None:
    counts = Counter(int(case.rule.removeprefix("resolving ")) for case in cases() if "resolving" in case.rule)
    assert {rule: counts[rule] for rule in range(1, 30) if rule not in WRITE_RULES and counts[rule] < 2} == {}


def test_cases_state_only_what_could_be_written() -> None:
    """A case about an entry that no edit would accept proves nothing."""
    for case in cases():
        catalogue = catalogue_of(case)
        for written in (*case.body["document"], *case.body.get("live", ())):
            definition = catalogue.definitions[written["key"]]
            assert checked(definition, written)[1] == [], case.title
            assert Strength(written.get("strength", "preferred")) in definition.strengths, case.title
            assert ScopeKind(written.get("scope", "profile").split(":")[0]) in definition.scopes, case.title
            assert set(written.get("context", ())) <= set(definition.contexts), case.title
