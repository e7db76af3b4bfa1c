"""A house full of guests of whom everything is known in words that stand nowhere else, and everybody who may ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import httpx2

from api.auth import load_keys, mint
from prefs.bootstrap import SystemClock
from prefs.core.callers import ALL_GUESTS, Role
from prefs.core.catalogue import PURPOSES, SURFACES
from tests.chaos import marks
from tests.chaos.grounds import PROPERTY, Grounds
from tests.chaos.marks import DEFINITIONS, Mark
from tests.cli.launch import launching
from tests.cli.served import bearer

ELSEWHERE = "cleveland"
AWAY = f"property:{ELSEWHERE}"
AT_ONCE = 50  # keys of one edit

# ana has everything, and changed it; bea consents to some purposes and not to others; nothing is known of fay.
GUESTS = ("ana", "bea", "cem", "dee", "eli", "fay")
SPANS = {  # where, from and to how many days from now, status
    "ana": (PROPERTY, -1, 3, "in_house"),
    "bea": (PROPERTY, -1, 3, "in_house"),
    "cem": (PROPERTY, 2, 4, "booked"),
    "dee": (PROPERTY, -9, -5, "checked_out"),
    "eli": (ELSEWHERE, -1, 3, "in_house"),
    "fay": (PROPERTY, -1, 3, "in_house"),
}
SOME = ("room_setup", "service_delivery")
CONSENTS: Mapping[str, Sequence[str]] = {name: SOME if name in ("bea", "fay") else PURPOSES for name in GUESTS}

# Who may stand where, and what ties them to whom: said by hand, so that it is not asked of what is tested.
STANDS: Mapping[str, Sequence[str]] = {
    "guest": ("guest_app", "kiosk"),
    "link": ("guest_app", "kiosk"),
    "device": ("thermostat", "lights", "tv", "kiosk"),
    "staff": ("housekeeping", "front_desk", "food", "engineering"),
    "service": SURFACES,
    "operator": SURFACES,
}
PRESSED_AT = ("thermostat", "lights", "tv")


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody with a token. `of` is the guest of a guest's token, `place` the property of staff and devices."""

    who: str
    surface: str
    token: str
    place: str = ""
    of: str = ""
    permitted: bool = True

    @property
    def name(self) -> str:
        words = (self.who, self.of, self.surface, self.place, "" if self.permitted else "without permission")
        return " ".join(filter(None, words))

    @property
    def is_bound(self) -> bool:
        return self.who in ("link", "device", "staff")

    def tie(self, guest: str) -> str:
        """What ties it to a guest, as the policies call it."""
        where, _, _, status = SPANS[guest]
        if self.who in ("guest", "link"):
            return "self" if guest == self.of else "none"
        if self.who in ("device", "staff"):
            known = {"in_house": "in_house", "booked": "arriving"}
            return known.get(status, "none") if where == self.place else "none"
        return "none"


@dataclass
class Marked:
    """Opened with the marks of these guests written by the calls of the product; closed with its servers."""

    folder: Path
    names: Sequence[str] = GUESTS
    application: str = "api.app:create_app"
    beside: Callable[[Grounds], object] = lambda _: None  # what is begun before anything is known of anybody
    ids: dict[str, str] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    versions: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        # Nobody may log this much where real guests are served, hence the demo, beside whose guest these come in.
        launch = launching(self.application, "--demo-guests", "1")
        environ = {"LOG_LEVEL": "debug", "GUESTPREFS_WEBHOOK_NETWORKS": "127.0.0.0/8"}
        self.grounds = Grounds(self.folder, 0, environ, launch=launch).__enter__()
        try:
            self.beside(self.grounds)
            self._furnish()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.grounds.__exit__()

    @property
    def http(self) -> httpx2.Client:
        return self.grounds.http

    def token(self, role: str, surface: str, subject: str, place: str = "", stay: str = "", all: bool = False) -> str:
        return mint(
            load_keys(self.folder / "data" / "keys.json")[0],
            issuer="guestprefs",
            audience="guestprefs",
            subject=subject,
            role=Role(role),
            surface=surface,
            now=SystemClock().now(),
            lifetime=timedelta(hours=5),
            properties=[place] if place else [],
            permissions=[ALL_GUESTS] if all else [],
            stay=stay,
        )

    def ok(self, method: str, path: str, token: str, body: Any = None, **params: str) -> Any:
        # A key of its own for each, so that answers are kept for repeats as well.
        headers = {**bearer(token), "idempotency-key": f"k-{self._asked}"}
        self._asked += 1
        answer = self.http.request(method, path, json=body, params=params, headers=headers)
        assert answer.status_code < 300, f"{method} {path}: {answer.text[:2000]}"
        return answer.json() if answer.content else None

    _asked = 0

    # ------------------------------------------------------------ what is known

    def _furnish(self) -> None:
        operator = self.token("operator", "guest_app", "ops", all=True)
        for place in (PROPERTY, ELSEWHERE):
            self.ok("PUT", f"/v1/properties/{place}", operator, {"name": place.title(), "time_zone": "UTC"})
        self._mark()
        self._define(operator, plain=True)
        for name in self.names:
            self._check_in(name)
        if "bea" in self.names:  # it becomes special-category data only later, so that no consent was asked
            self._say("bea", "now")
        self._define(operator, plain=False)
        for name in self.names:
            for layer in sorted(
                {m.layer for m in self.marks if m.guest == name} & {"then", "now", "away"}, reverse=True
            ):
                if (name, layer) != ("bea", "now"):
                    self._say(name, layer)
        self._import()
        self._press()

    def _mark(self) -> None:
        layers = {"ana": ("then", "now", "away", "press", "live"), "bea": ("now", "waiting"), "fay": ()}
        for name in self.names:
            for layer in layers.get(name, ("now",)):
                for key, definition in DEFINITIONS.items():
                    if layer == "press" and not (
                        "room" in definition.scopes and set(PRESSED_AT) & {*definition.surfaces}
                    ):
                        continue
                    if layer == "waiting" and not (marks.is_special(definition) and definition.purpose not in SOME):
                        continue
                    scope = {"away": AWAY, "press": f"stay:stay-{name}"}.get(layer, "profile")
                    self.marks.append(Mark(len(self.marks), name, key, layer, scope))
            for key in ("first name", "last name", "identifier"):
                self.marks.append(Mark(len(self.marks), name, key, "register"))

    def of(self, guest: str, layer: str) -> Iterator[Mark]:
        yield from (mark for mark in self.marks if (mark.guest, mark.layer) == (guest, layer))

    def _define(self, operator: str, *, plain: bool) -> None:
        for key, definition in DEFINITIONS.items():
            if not (plain or marks.is_special(definition)):
                continue  # it stands already
            mine = [mark for mark in self.marks if mark.key == key]
            self.ok("PUT", f"/v1/catalogue/{key}", operator, marks.body(definition, mine, plain=plain))

    def _check_in(self, name: str) -> None:
        first, last, identifier = (mark.word for mark in self.of(name, "register"))
        service, now = self.grounds.service, SystemClock().now()
        body = {"display_name": f"{first} {last}", "identifiers": [{"system": "loyalty", "id": identifier}]}
        self.ids[name] = self.ok("POST", "/v1/guests", service, body)["guest"]
        place, begins, ends, status = SPANS[name]
        stay = {
            "guest": self.ids[name],
            "property": place,
            "arrival": (now + timedelta(days=begins)).isoformat(),
            "departure": (now + timedelta(days=ends)).isoformat(),
            "room": "1204",
            "status": status,
        }
        self.ok("PUT", f"/v1/stays/stay-{name}", service, stay)
        for purpose in CONSENTS[name]:
            self.ok("PUT", f"/v1/guests/{self.ids[name]}/consents/{purpose}", self.own(name))

    def own(self, name: str) -> str:
        return self.token("guest", "guest_app", self.ids[name])

    def _say(self, name: str, layer: str) -> None:
        mine = list(self.of(name, layer))
        for begin in range(0, len(mine), AT_ONCE):
            patch = {mark.key: marks.said(mark) for mark in mine[begin : begin + AT_ONCE]}
            path = f"/v1/guests/{self.ids[name]}/preferences"
            done = self.ok("PATCH", path, self.own(name), patch, scope=mine[0].scope)
            self.versions.setdefault((name, layer), []).append(done["version"])

    def say_live(self, name: str) -> None:
        """Everything anew, in other words."""
        self._say(name, "live")

    def _import(self) -> None:
        patch = {mark.key: marks.said(mark) for mark in self.of("bea", "waiting")}
        if patch:
            path = f"/v1/guests/{self.ids['bea']}/preferences"
            said = self.ok("PATCH", path, self.token("service", "front_desk", "service-1", all=True), patch)
            assert said["waiting_for_consent"] == sorted(patch)

    def _press(self) -> None:
        for mark in self.of("ana", "press"):
            surface = next(one for one in PRESSED_AT if one in DEFINITIONS[mark.key].surfaces)
            token = self.token("device", surface, f"{surface}-1204", PROPERTY)
            path = f"/v1/guests/{self.ids['ana']}/preferences"
            self.ok(
                "PATCH", path, token, {mark.key: marks.value_of(DEFINITIONS[mark.key].kind, mark.word)}, scope="room"
            )

    def versions_now(self) -> dict[str, int]:
        service = bearer(self.grounds.service)
        return {
            name: self.http.get(f"/v1/guests/{id}", headers=service).json()["version"] for name, id in self.ids.items()
        }

    # ------------------------------------------------------------ who asks

    def askers(self) -> list[Asker]:
        """Every role at every surface where it may stand, at both properties, and without the permission it needs."""
        made = []
        ana = self.ids["ana"]
        for who, surfaces in STANDS.items():
            for surface in surfaces:
                if who in ("guest", "link"):
                    stay = "stay-ana" if who == "link" else ""
                    made.append(Asker(who, surface, self.token("guest", surface, ana, stay=stay), of="ana"))
                elif who in ("device", "staff"):
                    for place in (PROPERTY, ELSEWHERE):
                        made.append(Asker(who, surface, self.token(who, surface, f"{surface}-1", place), place))
                else:
                    made.append(Asker(who, surface, self.token(who, surface, f"{who}-1", all=True)))
        for who in ("service", "operator"):
            token = self.token(who, "guest_app", "weather")
            made.append(Asker(who, "guest_app", token, permitted=False))
        if "bea" in self.ids:
            made.append(Asker("guest", "guest_app", self.own("bea"), of="bea"))
        return made
