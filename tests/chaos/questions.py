"""Everything that can be read of a guest, asked in every way there is, and what is refused with reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prefs.bootstrap import SystemClock
from prefs.core.changes import Cursor
from prefs.services.tellings import write_place
from tests.chaos import marks
from tests.chaos.grounds import PROPERTY
from tests.chaos.marked import AWAY, Asker, Marked
from tests.chaos.marks import DEFINITIONS

FLAGS = "/ofrep/v1/evaluate/flags"
FLAG_KEYS = ("room.quiet", "food.allergens", "food.diet", "access.vision_formats", "tv.favorite_channels")


@dataclass(frozen=True, slots=True)
class Ask:
    operation: str
    method: str
    path: str
    guest: str = ""  # whom it is about; "" for all
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


def asks_about(stage: Marked, name: str, asker: Asker) -> Iterator[Ask]:
    """Every way to read of one guest, and requests that are refused."""
    guest, place = f"/v1/guests/{stage.ids[name]}", asker.place or PROPERTY
    hot, some = f"{guest}/preferences", ",".join([*DEFINITIONS][:40])
    queries: list[dict[str, str]] = [{}, {}, {"explain": "true"}, {"property": place}, {"property": place}]
    queries += [{"property": place, "explain": "true", "stay": f"stay-{name}"}, {"keys": some}]
    queries += [{"keys": ",".join([*DEFINITIONS][40:]), "explain": "true"}]
    for query in queries:
        yield Ask("get_preferences", "GET", hot, name, query)
    yield Ask("get_preferences", "GET", hot, name, headers={"cache-control": "no-cache"})
    yield from streams(stage, name, place)
    yield from flags_about(stage, name, place)
    yield Ask("get_guest", "GET", guest, name)
    (identifier,) = (mark.word for mark in stage.of(name, "register") if mark.key == "identifier")
    yield Ask("find_guest", "GET", "/v1/guests", name, {"system": "loyalty", "id": identifier})
    yield Ask("get_history", "GET", f"{guest}/history", name, {"limit": "100"})
    for operation, path in (
        ("get_access_log", f"{guest}/access-log"),
        ("list_consents", f"{guest}/consents"),
        ("get_consent", f"{guest}/consents/food_safety"),
        ("get_receipt", f"{guest}/consents/room_setup/receipt"),
        ("list_waiting", f"{guest}/quarantine"),
        ("list_invitations", f"{guest}/consent-invitations"),
        ("get_stay", f"/v1/stays/stay-{name}"),
        ("export_guest", f"{guest}/export"),
        ("get_personalisation", f"{guest}/personalisation"),
    ):
        yield Ask(operation, "GET", path, name)
    yield from refused_asks(stage, name, guest)


def streams(stage: Marked, name: str, place: str) -> Iterator[Ask]:
    """What applies, and all that was ever said of the guest, told again to somebody who comes back."""
    begun = {"last-event-id": write_place(Cursor(), SystemClock().now())}
    of = {"guest": stage.ids[name], "follow": "false"}
    for query in (of, of | {"property": place}):
        for headers in ({}, begun):
            yield Ask("get_changes", "GET", "/v1/changes", name, query, headers=headers)


def flags_about(stage: Marked, name: str, place: str) -> Iterator[Ask]:
    """The same by OFREP: all of it, and a few keys of every class one by one."""
    whose = {"targetingKey": stage.ids[name]}
    for context in (whose, {**whose, "property": place}, {**whose, "property": place, "stay": f"stay-{name}"}):
        yield Ask("evaluate_flags", "POST", FLAGS, name, body={"context": context})
    for key in FLAG_KEYS:
        yield Ask("evaluate_flag", "POST", f"{FLAGS}/{key}", name, body={"context": {**whose, "property": place}})
    yield Ask("evaluate_flags", "POST", FLAGS, name, body={"context": {**whose, "at": "yesterday"}})


def refused_asks(stage: Marked, name: str, guest: str) -> Iterator[Ask]:
    """Requests that change nothing and are told why: what is wrong with them, or what stands in their way."""
    hot = f"{guest}/preferences"
    for scope in ("profile", AWAY, f"stay:stay-{name}", "room"):
        where, halves = {"scope": scope}, (0, 34)
        for begin in halves:
            some = [*DEFINITIONS.values()][begin : begin + 34]
            unsound = {one.key: {"value": marks.value_of(one.kind, ""), "strength": "no such thing"} for one in some}
            yield Ask("edit_preferences", "PATCH", hot, name, where, unsound)
            wrong = {one.key: {"value": marks.value_of(one.kind, ""), "unit": "[degF]", "not": 1} for one in some}
            yield Ask("edit_preferences", "PATCH", hot, name, where, wrong)
            cleared = {one.key: None for one in some}
            yield Ask("edit_preferences", "PATCH", hot, name, where, cleared, {"preferences-base-version": "1"})
        yield Ask("edit_preferences", "PATCH", hot, name, where, {"room.quiet": True}, {"if-match": '"1.0"'})
    if name == "ana":  # undoing the first thing she said, which she changed since
        for version in stage.versions["ana", "then"]:
            yield Ask("revert_change", "POST", f"{guest}/history/{version}/revert", name)
    yield Ask("get_preferences", "GET", hot, name, {"at": "yesterday"})
    yield Ask("get_history", "GET", f"{guest}/history", name, {"cursor": "x"})


def batches(stage: Marked, names: Sequence[str], asker: Asker) -> Iterator[Ask]:
    """Twice the same at first, so that the second is answered by what lies ready."""
    for keys in (None, None, [*DEFINITIONS][:40], [*DEFINITIONS][40:]):
        body = {"guests": [stage.ids[name] for name in names], "property": asker.place or PROPERTY}
        yield Ask("batch_preferences", "POST", "/v1/preferences/batch", body=body | ({"keys": keys} if keys else {}))
    begun = {"last-event-id": write_place(Cursor(), SystemClock().now())}
    for headers in ({}, begun):
        query = {"property": asker.place or PROPERTY, "follow": "false"}
        yield Ask("get_changes", "GET", "/v1/changes", query=query, headers=headers)
