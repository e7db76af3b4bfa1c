"""The tables of `access` against the same rules written as Cedar policies: every combination, every cell compared."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from prefs.core import access
from prefs.core.callers import ALL_GUESTS, Caller, Role
from prefs.core.catalogue import PURPOSES, SURFACES, Definition, Sensitivity, Showing
from prefs.core.entries import ProvenanceKind, Scope, ScopeKind
from prefs.core.errors import NotAllowed
from prefs.core.sights import Relation, Shown, Standing
from tests.core import policies
from tests.core.builders import choice
from tests.core.policies import Question

SOURCE = Path(access.__file__).read_text(encoding="utf-8")

type Cell = tuple[Question, Callable[[ModuleType], bool]]  # what Cedar is asked, and what the table says

FORMS = {Shown.VALUE: "see_value", Shown.ACTION: "see_action", Shown.EXISTENCE: "see_existence"}


def caller(who: Standing, surface: str = "", permissions: tuple[str, ...] = ()) -> Caller:
    role = Role.GUEST if who is Standing.LINK else Role(who.value)
    stay = "s1" if who is Standing.LINK else ""
    return Caller("somebody", role, surface, frozenset({"dallas"}), stay, frozenset(permissions))


def raises(doing: Callable[[], Any]) -> bool:
    try:
        doing()
    except NotAllowed:
        return True
    return False


# ---- the cells ----


def acts() -> Iterator[Cell]:
    permissions: tuple[tuple[str, ...], ...] = ((), (ALL_GUESTS,), ("something.else",))
    for act, who, tied, held in itertools.product(access.Act, Standing, Relation, permissions):
        asking = caller(who, permissions=held)
        context = {"relation": tied.value, "permissions": list(held)}

        def asks(table: ModuleType, asking: Caller = asking, act: access.Act = act) -> bool:
            return not raises(lambda: table.require(asking, table.Act(act.value)))

        def does(table: ModuleType, asking: Caller = asking, act: access.Act = act, tied: Relation = tied) -> bool:
            return asks(table, asking, act) and bool(table.allows(asking, table.Act(act.value), tied))

        yield (who.value, act.value, "", {**context, "asking": True}), asks
        yield (who.value, act.value, "", context), does


def stands() -> Iterator[Cell]:
    for who, surface in itertools.product(Standing, SURFACES):
        role = caller(who).role
        yield (
            (who.value, "stand", "", {"surface": surface}),
            lambda table, role=role, surface=surface: surface in table.surfaces_of(role),
        )


@cache
def definition(surface: str, listed: str, purpose: str, data: str) -> Definition:
    plain = choice("room.colour", "red blue")
    surfaces = {} if listed == "unlisted" else {surface: Showing(listed)}
    return replace(plain, surfaces=surfaces, purpose=purpose, sensitivity=Sensitivity(data))


def shown() -> Iterator[Cell]:
    dimensions = itertools.product(
        Standing,
        SURFACES,
        Relation,
        PURPOSES,
        [one.value for one in Sensitivity],
        (True, False),
        ("value", "action", "unlisted"),
        ("applied", "stored"),
    )
    for who, surface, tied, purpose, data, consented, listed, form in dimensions:
        of = definition(surface, listed, purpose, data)
        purposes = frozenset({purpose} if consented else set(PURPOSES) - {purpose})
        context = {
            "surface": surface,
            "relation": tied.value,
            "purpose": purpose,
            "data": data,
            "consented": consented,
            "listed": listed,
        }
        for how, action in FORMS.items():

            def tells(
                table: ModuleType,
                who: Standing = who,
                surface: str = surface,
                tied: Relation = tied,
                of: Definition = of,
                purposes: frozenset[str] = purposes,
                how: Shown = how,
                form: str = form,
            ) -> bool:
                sight = table.sight(who, surface, tied)
                found = getattr(sight, form)(of, of.is_special_as_a_whole, purposes)
                return bool(found is how)

            yield (who.value, action, f'Form::"{form}"', context), tells


def writes() -> Iterator[Cell]:
    kinds = [ProvenanceKind.STATED, ProvenanceKind.STATED_VIA_STAFF, ProvenanceKind.OBSERVED, ProvenanceKind.IMPORTED]
    for who, says, scope, kind in itertools.product(Standing, ("", "observed", "stated"), ScopeKind, kinds):

        def writes_as(
            table: ModuleType, who: Standing = who, says: str = says, scope: ScopeKind = scope, kind: str = kind
        ) -> bool:
            try:
                return bool(table.writing_at(caller(who), Scope(scope, "x"), says).kind is kind)
            except NotAllowed:
                return False

        context = {"says": says, "scope": scope.value}
        yield (who.value, f"write_as_{kind.value}", "", context), writes_as
    for who, provenance in itertools.product(Standing, ProvenanceKind):

        def removes(table: ModuleType, who: Standing = who, provenance: ProvenanceKind = provenance) -> bool:
            return not raises(lambda: table.writing(caller(who))) and provenance in table.writing(caller(who)).removes

        def undoes(table: ModuleType, who: Standing = who) -> bool:
            return not raises(lambda: table.writing(caller(who))) and bool(table.writing(caller(who)).undoes_others)

        yield (who.value, "remove", "", {"provenance": provenance.value}), removes
        yield (who.value, "undo_others", "", {}), undoes


def parts() -> Iterator[Cell]:
    for who, surface, part in itertools.product(Standing, SURFACES, ("name", "identifiers", "consents")):
        for word, action in (("whole", "see_whole"), ("chosen", "see_as_chosen")):

            def shows(
                table: ModuleType, who: Standing = who, surface: str = surface, part: str = part, word: str = word
            ) -> bool:
                return bool(table.part(caller(who, surface), part) == word)

            yield (who.value, action, f'Part::"{part}"', {"surface": surface}), shows


@cache
def cells() -> list[Cell]:
    return [*acts(), *stands(), *shown(), *writes(), *parts()]


# ---- comparing ----


@cache
def answers() -> list[bool]:
    """What the policies say to every cell. Where a name may be chosen and may be whole, whole is what is shown."""
    return policies.verdicts([question for question, _ in cells()])


def differences(table: ModuleType) -> list[str]:
    return [
        f"{question}: Cedar {'allows' if allowed else 'denies'} it"
        for (question, says), allowed in zip(cells(), answers(), strict=True)
        if says(table) is not allowed
    ]


def test_every_cell_is_what_the_policies_say() -> None:
    assert len(cells()) > 100_000
    assert differences(access)[:20] == []
    assert 1000 < sum(answers()) < len(cells()) / 2


def test_the_policies_name_every_act() -> None:
    for act in access.Act:
        assert f'Action::"{act.value}"' in policies.POLICIES, f"access.cedar has no policy for {act.value}: add one"


# What the fault does: the row it is in, and the cell before and after.
MUTANTS = {
    "staff reach whoever stayed once": ('    "here"', "Relation.ARRIVING", "Relation.NONE"),
    "a link reads history": ("read_history ", "self   -   ", "self   self"),
    "operators edit preferences": ("edit_preferences", "guests.all  -", "guests.all  guests.all"),
    "services change properties": ("change_property", "-           any", "any         any"),
    "a tv stands for staff": ("staff     housekeeping", "staff     ", "staff     tv "),
    "the kitchen learns of evacuation": ("food          service", "food_safety", "food_safety safety_evacuation"),
    "staff need no consent": ("staff          in_house arriving  any        SC", "given  ", "any    "),
    "operators see what is special": (
        "operator       any                guest_app  SC",
        "existence     e",
        "listed        e",
    ),
    "a room knows its next guest": ("device         in_house           any", "in_house         ", "in_house arriving"),
    "staff read what is only an action": ("staff          in_house arriving  any        P0", "by_value", "value"),
    "a link writes everywhere": ("link     -  ", "stay   ", "profile"),
    "staff take away what guests said": ("staff    -  ", "stated_via_staff observed", "any                      "),
    "staff see who a guest is elsewhere": ("identifiers", "-     -       -  ", "-     -       whole"),
}


def mutated(row: str, before: str, after: str) -> ModuleType:
    lines = SOURCE.splitlines()
    (number,) = (number for number, line in enumerate(lines) if line.startswith(row))
    assert before in lines[number], lines[number]
    lines[number] = lines[number].replace(before, after, 1)
    table = ModuleType("mutated_access")
    sys.modules["mutated_access"] = table
    try:
        exec(compile("\n".join(lines), "mutated_access", "exec"), table.__dict__)
    finally:
        del sys.modules["mutated_access"]
    return table


@pytest.mark.parametrize("name", MUTANTS)
def test_a_changed_table_is_noticed(name: str) -> None:
    assert differences(mutated(*MUTANTS[name]))


@pytest.mark.parametrize(
    ("row", "before", "after"),
    [
        ("staff          in_house arriving  any        SC", "given ", "giben "),
        ("staff          in_house arriving  any        SC", "SC     ", "P1 SC  "),
        ("read_history", "here  ", "heer  "),
        ("food          service", "food_safety", "food_safetea"),
        ("edit_preferences", "edit_preferences", "edit_preference "),
    ],
)
def test_a_table_that_makes_no_sense_does_not_load(row: str, before: str, after: str) -> None:
    with pytest.raises(ValueError):
        mutated(row, before, after)
