"""Who may be told what of a word that was said: asked of the Cedar policies of the core's tests, and of the few tables
here, never of what is tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefs.core.callers import ALL_GUESTS
from tests.chaos import marks
from tests.chaos.marked import AWAY, CONSENTS, ELSEWHERE, Asker
from tests.chaos.marks import DEFINITIONS, Mark
from tests.core import policies

APPLIED, STORED = "applied", "stored"
SEEN = {"see_value": {"cnry", "sdry"}, "see_action": {"sdry"}}

# What tells something of a guest: which act it is, in which forms it tells entries, which layers of them.
NOW = frozenset({"now", "live", "away", "press"})  # live: what was said anew in the end
EVER = NOW | {"then"}
TELLS: Mapping[str, tuple[str, tuple[str, ...], frozenset[str]]] = {
    "get_preferences": ("read_preferences", (APPLIED,), NOW),
    "batch_preferences": ("read_preferences", (APPLIED,), NOW),
    "get_changes": ("read_preferences", (APPLIED,), NOW),
    "evaluate_flags": ("read_preferences", (APPLIED,), NOW),
    "evaluate_flag": ("read_preferences", (APPLIED,), NOW),
    "get_guest": ("read_guest", (STORED,), NOW - {"press"}),
    "find_guest": ("read_guest", (STORED,), NOW - {"press"}),
    "get_history": ("read_history", (STORED,), EVER - {"press"}),
    "edit_preferences": ("edit_preferences", (APPLIED, STORED), EVER),  # what applies then, or what conflicts
    "revert_change": ("revert", (APPLIED, STORED), EVER),
    "list_waiting": ("read_imports", (), frozenset({"waiting"})),
    "get_access_log": ("read_access_log", (), frozenset()),
    "list_consents": ("read_consents", (STORED,), frozenset()),
    "get_consent": ("read_consents", (STORED,), frozenset()),
    "get_receipt": ("read_consents", (), frozenset()),
    "list_invitations": ("read_invitations", (), frozenset()),
    "get_stay": ("read_stay", (), frozenset()),
    "export_guest": ("export_guest", (STORED,), EVER | {"waiting"}),
    "get_personalisation": ("personalise", (), frozenset()),
}
# Where guests are told under which keys something is, or who saw it, wherever they stand and without the value.
OWN = {
    *("edit_preferences", "revert_change", "list_waiting", "get_access_log", "list_consents", "get_consent"),
    "export_guest",
}


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What the policies say, looked up by question."""

    said: Mapping[tuple[Any, ...], bool]

    @classmethod
    def of(cls, askers: Sequence[Asker], names: Sequence[str]) -> Verdicts:
        questions = {question for asker in askers for name in names for question in _questions(asker, name)}
        keys = sorted(questions, key=repr)
        asked = [(who, action, resource, dict(context)) for who, action, resource, context in keys]
        return cls(dict(zip(keys, policies.verdicts(asked), strict=True)))

    def acts(self, asker: Asker, act: str, name: str) -> bool:
        return self.said[_act(asker, act, name)]

    def sees(self, asker: Asker, how: str, form: str, mark: Mark) -> bool:
        return self.said[_sight(asker, how, form, mark.guest, mark.key, _is_special(mark))]

    def part(self, asker: Asker, how: str, part: str) -> bool:
        return self.said[_part(asker, how, part)]


type Asked = tuple[str, str, str, tuple[tuple[str, Any], ...]]


def _is_special(mark: Mark) -> bool:
    definition = DEFINITIONS[mark.key]
    return marks.is_special(definition) and (mark.layer != "press" or definition.special_when is None)


def _asked(who: str, action: str, resource: str, **context: Any) -> Asked:
    return who, action, resource, tuple(sorted(context.items()))


def _act(asker: Asker, act: str, name: str) -> Asked:
    held = (ALL_GUESTS,) if asker.who in ("service", "operator") and asker.permitted else ()
    return _asked(asker.who, act, "", relation=asker.tie(name), permissions=held)


def _sight(asker: Asker, how: str, form: str, name: str, key: str, special: bool) -> Asked:
    definition = DEFINITIONS[key]
    purpose = definition.purposes.get(asker.surface, definition.purpose)
    listed = definition.surfaces.get(asker.surface)
    return _asked(
        asker.who,
        how,
        f'Form::"{form}"',
        relation=asker.tie(name),
        surface=asker.surface,
        purpose=purpose,
        data="SC" if special else str(definition.sensitivity).replace("SC", "P1"),
        consented=purpose in CONSENTS[name],
        listed=str(listed) if listed else "unlisted",
    )


def _part(asker: Asker, how: str, part: str) -> Asked:
    return _asked(asker.who, how, f'Part::"{part}"', surface=asker.surface)


def _questions(asker: Asker, name: str) -> Iterator[Asked]:
    for act, _, _ in TELLS.values():
        yield _act(asker, act, name)
    for key, definition in DEFINITIONS.items():
        for form in (APPLIED, STORED):
            for how in (*SEEN, "see_existence"):
                for special in {marks.is_special(definition), False}:
                    yield _sight(asker, how, form, name, key, special)
    for part in ("name", "identifiers"):
        for how in ("see_whole", "see_as_chosen"):
            yield _part(asker, how, part)


def may_tell(verdicts: Verdicts, asker: Asker, operation: str, mark: Mark) -> set[str]:
    """In which form a word may stand in an answer: `cnry` the word, `sdry` its label."""
    act, forms, layers = TELLS[operation]
    if not verdicts.acts(asker, act, mark.guest):
        return set()
    if mark.layer == "register":
        return _of_register(verdicts, asker, operation, mark)
    if mark.layer not in layers or (asker.is_bound and mark.scope == AWAY and asker.place != ELSEWHERE):
        return set()
    if mark.layer == "waiting":
        return {"cnry"} if (asker.who, asker.surface) == ("guest", "guest_app") else set()
    found = {how for how in SEEN for form in forms if verdicts.sees(asker, how, form, mark)}
    if "see_action" in found and marks.speaks(DEFINITIONS[mark.key].kind):
        found.add("see_value")
    return {word for how in found for word in SEEN[how]}


def may_name(verdicts: Verdicts, asker: Asker, operation: str, guest: str, key: str) -> bool:
    """Whether an answer may say that there is something under this key, without a value of it."""
    act, forms, _ = TELLS[operation]
    if not verdicts.acts(asker, act, guest):
        return False
    if operation in OWN and asker.tie(guest) == "self":
        return True
    if operation == "list_waiting":
        return asker.who == "service"  # which brought it
    definition = DEFINITIONS[key]
    if operation == "export_guest" and asker.who == "service":  # the same, among everything else
        if marks.is_special(definition) and definition.purpose not in CONSENTS[guest]:
            return True
    said_so = [Mark(0, guest, key, layer) for layer in ("now", "press")]
    return any(
        verdicts.sees(asker, how, form, mark)
        for mark in said_so
        for how in (*SEEN, "see_existence")
        for form in forms
        if mark.layer == "now" or form == APPLIED or operation == "export_guest"  # which tells presses as they rest
    )


def _of_register(verdicts: Verdicts, asker: Asker, operation: str, mark: Mark) -> set[str]:
    """The guest's name, and who they are to other systems; for whom nothing ties to the guest the act was refused."""
    if operation not in ("get_guest", "find_guest", "export_guest"):
        return set()
    if mark.key == "identifier":
        return {"cnry"} if verdicts.part(asker, "see_whole", "identifiers") else set()
    chosen = mark.key == "first name" and verdicts.part(asker, "see_as_chosen", "name")
    return {"cnry"} if chosen or verdicts.part(asker, "see_whole", "name") else set()
