"""Every operation of the document, and what each role gets there: the table that test_matrix.py walks.

A NEW OPERATION NEEDS ONE LINE in MATRIX: its operation id; whose data the request names; and the status that each role
gets where something ties it to that guest. The walk itself knows what follows where nothing does: 404, as for a guest
that is not there, unless the role gets 403 anyway. If the path, the body or the query has a name that is new, say in
samples.py what to put there.

whose  guest: a guest id in the path, or a targeting key.  stay: a stay id in the path.
       identifier: another system's id in the query.  batch: guest ids in the body.
       house: nobody's; the statuses hold as they stand.  public: needs no token.
@      a variant of the operation: see VARIANTS.
!      another rule refuses even who is tied to the guest; who is not is told 404.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from prefs.bootstrap import House
from prefs.core.callers import ALL_GUESTS, Caller, Role
from prefs.core.grids import rows
from tests.api.front import PROPERTY, Front

ROLES = ("guest", "link", "device", "staff", "service", "operator")

MATRIX = """
operation              whose       guest  link  device  staff  service  operator

get_preferences        guest       200    200   200     200    200      200
get_preferences@stay   guest       200    200   200     200    200      200
get_preferences@keys   guest       200    200   200     200    200      200
edit_preferences       guest       200    403   403     403    200      403
edit_preferences@stay  guest       200    200   403     200    200      403
edit_preferences@room  guest       403    403   200     403    403      403
get_changes            guest       200    200   200     200    200      200
get_changes@property   house       403    403   200     200    200      200
batch_preferences      batch       200    200   200     200    200      200
evaluate_flags         guest       200    200   200     200    200      200
evaluate_flag          guest       200    200   200     200    200      200
create_guest           house       403    403   403     403    201      201
find_guest             identifier  200    200   200     200    200      200
get_guest              guest       200    200   200     200    200      200
edit_guest             guest       200    403   403     403    200      200
add_identifier         guest       403    403   403     403    200      200
remove_identifier      guest       403    403   403     403    200      200
grant_consent          guest       200    200   403     403    200      403
withdraw_consent       guest       200    200   403     403    200      403
list_consents          guest       200    200   403     403    200      200
get_consent            guest       200    200   403     403    200      200
get_receipt            guest       200    200   403     403    200      200
list_waiting           guest       200    403   403     403    200      403
decline_waiting        guest       200    403   403     403    403      403
invite_guest           guest       403    403   403     201    201      403
list_invitations       guest       200    200   403     200    200      403
answer_invitation      guest       200    200   403     403    403      403
delete_entry           guest       200    403   403     403!   403!     403
get_personalisation    guest       200    403   403     403    200      403
put_personalisation    guest       200    403   403     403    200      403
export_guest           guest       200    403   403     403    200      200
erase_guest            guest       200    403   403     403    200      200
get_history            guest       200    403   403     200    200      200
get_access_log         guest       200    403   403     403    403      403
revert_change          guest       200    403   403     403!   403!     403
get_catalogue          house       200    200   200     200    200      200
put_definition         house       403    403   403     403    403      200
delete_definition      house       403    403   403     403    403      200
list_properties        house       403    403   403     200    200      200
get_property           house       200    200   200     200    200      200
put_property           house       403    403   403     403    403      200
delete_property        house       403    403   403     403    403      409
get_stay               stay        200    200   200     200    200      200
put_stay               house       403    403   403     403    200      200
get_device_grant       house       403    403   403     404    403      404
decide_device_grant    house       403    403   403     404    403      404
list_devices           house       403    403   403     200    403      200
revoke_device          house       403    403   403     404    403      404
make_stay_link         stay        403    403   403     201    201      201
revoke_stay_link       stay        403    403   403     404    404      404
revoke                 house       403    403   403     403    403      200
list_webhooks          house       403    403   403     403    403      200
get_webhook            house       403    403   403     403    403      404
put_webhook            house       403    403   403     403    403      201
delete_webhook         house       403    403   403     403    403      404
rotate_secret          house       403    403   403     403    403      404
ping_webhook           house       403    403   403     403    403      404
list_deliveries        house       403    403   403     403    403      404
replay_delivery        house       403    403   403     403    403      404
get_server_metadata    public      200    200   200     200    200      200
get_keys               public      200    200   200     200    200      200
authorize_device       public      400    400   400     400    400      400
issue_token            public      400    400   400     400    400      400
enter_by_link          public      415    415   415     415    415      415
get_receipt_keys       public      200    200   200     200    200      200
get_export_schema      public      200    200   200     200    200      200
get_receipt_schema     public      200    200   200     200    200      200
livez                  public      200    200   200     200    200      200
readyz                 public      200    200   200     200    200      200
get_version            public      200    200   200     200    200      200
metrics                public      200    200   200     200    200      200
"""

# Query of an operation or a variant; {stay} and {guest} are those of the owner.
VARIANTS: Mapping[str, Mapping[str, str]] = {
    "stay": {"stay": "{stay}"},
    "keys": {"keys": "room.quiet", "explain": "true"},
    "get_changes": {"guest": "{guest}", "follow": "false"},
    "get_changes@property": {"property": PROPERTY, "follow": "false"},
    "edit_preferences@stay": {"scope": "stay:{stay}"},
    "edit_preferences@room": {"scope": "room"},
}

HELP = "the matrix does not cover {0}: add a line for each to MATRIX in tests/api/matrix.py, which says how at its top"


@dataclass(frozen=True, slots=True)
class Line:
    operation: str
    variant: str
    whose: str
    expected: Mapping[str, int]
    ties_first: frozenset[str]  # roles whose tie is looked up before they are refused

    @property
    def name(self) -> str:
        return f"{self.operation}@{self.variant}" if self.variant else self.operation

    def query(self, stay: str, guest: str) -> dict[str, str]:
        template = VARIANTS.get(self.name, VARIANTS.get(self.variant, {}))
        return {name: value.format(stay=stay, guest=guest) for name, value in template.items()}


def lines() -> list[Line]:
    found = []
    for row in rows(MATRIX):
        operation, _, variant = row["operation"].partition("@")
        expected = {role: int(row[role].rstrip("!")) for role in ROLES}
        ties_first = frozenset(role for role in ROLES if row[role].endswith("!"))
        found.append(Line(operation, variant, row["whose"], expected, ties_first))
    return found


LINES = lines()
ELSEWHERE = "cleveland"
ABSENT = "gst_" + "f" * 32
OWNERS = ("in_house", "arriving", "departed", "foreign", "absent", "malformed")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose ids a request names: of somebody in one of the states of OWNERS."""

    state: str
    guest: str
    stay: str
    identifier: str
    invitation: str = "inv_" + "0" * 32


@dataclass(frozen=True, slots=True)
class Asker:
    """A caller of the matrix; `tied` are the owners that something ties it to, seen from outside the code."""

    name: str
    role: str
    token: str
    tied: frozenset[str]

    @property
    def place(self) -> str:
        return ELSEWHERE if self.name in ("staff elsewhere", "device elsewhere") else PROPERTY

    @property
    def kept_apart(self) -> str:
        """Askers alike in this share the answers that are kept for idempotency keys."""
        return self.name.removesuffix(" with permissions")


SERVICE = Caller("pms", Role.SERVICE, "front_desk", permissions=frozenset({ALL_GUESTS}))
OPERATOR = Caller("ops", Role.OPERATOR, "front_desk", permissions=frozenset({ALL_GUESTS}))


async def settle(house: House, now: Any) -> dict[str, Owner]:
    """Two hotels and four guests: in house, arriving and departed at one, in house at the other."""
    for name in (PROPERTY, ELSEWHERE):
        await house.properties.put(OPERATOR, name, {"name": name, "time_zone": "UTC"})
    spans = {
        "in_house": (PROPERTY, -1, 3, "in_house"),
        "arriving": (PROPERTY, 2, 4, "booked"),
        "departed": (PROPERTY, -9, -5, "checked_out"),
        "foreign": (ELSEWHERE, -1, 3, "in_house"),
    }
    owners = {
        "absent": Owner("absent", ABSENT, "stay-none", "none"),
        "malformed": Owner("malformed", "gst_1", "stay-none", "none"),
    }
    for number, (state, (place, begins, ends, status)) in enumerate(spans.items()):
        owner = str(100 + number)
        made = await house.guests.create(OPERATOR, state.title(), [{"system": "loyalty", "id": owner}])
        guest, stay = str(made.body["guest"]), f"stay-{state.replace('_', '-')}"
        themselves = Caller(guest, Role.GUEST, "guest_app")
        await house.preferences.patch(themselves, guest, "profile", {"room.quiet": True})
        body = {
            "guest": guest,
            "property": place,
            "arrival": (now + timedelta(days=begins)).isoformat(),
            "departure": (now + timedelta(days=ends)).isoformat(),
            "room": f"120{number}",
            "status": status,
        }
        await house.stays.put(OPERATOR, stay, body)
        declined = (await house.invitations.invite(SERVICE, guest, "ui_adaptation", ["access.vision_formats"])).body
        await house.invitations.reply(themselves, guest, declined["id"], False)  # leaves a receipt
        asked = (await house.invitations.invite(SERVICE, guest, "food_safety", ["food.allergens"])).body
        owners[state] = Owner(state, guest, stay, owner, asked["id"])
    return owners


def askers(front: Front, owners: Mapping[str, Owner]) -> list[Asker]:
    """Every role at its own hotel, at another, narrowed to one stay, and with a token whose parts do not fit."""
    ana, dee, bo = owners["in_house"], owners["departed"], owners["foreign"]
    here, everyone = frozenset({"in_house", "arriving"}), frozenset({"in_house", "arriving", "departed", "foreign"})
    own, nobody = frozenset({"in_house"}), frozenset[str]()

    def token(role: str, surface: str, subject: str, *, at: str = "", stay: str = "", all: bool = False) -> str:
        return front.token(role, surface, subject, [at] if at else [], [ALL_GUESTS] if all else [], stay)

    return [
        Asker("guest", "guest", token("guest", "guest_app", ana.guest), own),
        Asker("guest at a kiosk", "guest", token("guest", "kiosk", ana.guest), own),
        Asker("guest with permissions", "guest", token("guest", "guest_app", ana.guest, all=True), own),
        Asker("guest of old", "guest", token("guest", "guest_app", dee.guest), frozenset({"departed"})),
        Asker("link", "link", token("guest", "guest_app", ana.guest, stay=ana.stay), own),
        Asker("link after checkout", "link", token("guest", "guest_app", dee.guest, stay=dee.stay), nobody),
        Asker("link to another's stay", "link", token("guest", "guest_app", ana.guest, stay=bo.stay), nobody),
        Asker("device", "device", token("device", "kiosk", "kiosk-1", at=PROPERTY), here),
        Asker("device of one stay", "device", token("device", "kiosk", "kiosk-2", at=PROPERTY, stay=ana.stay), own),
        Asker("device elsewhere", "device", token("device", "kiosk", "k-3", at=ELSEWHERE), frozenset({"foreign"})),
        Asker("device of a stay elsewhere", "device", token("device", "kiosk", "k", at=PROPERTY, stay=bo.stay), nobody),
        Asker("staff", "staff", token("staff", "front_desk", "desk-1", at=PROPERTY), here),
        Asker("staff with permissions", "staff", token("staff", "front_desk", "desk-2", at=PROPERTY, all=True), here),
        Asker("staff elsewhere", "staff", token("staff", "front_desk", "d", at=ELSEWHERE), frozenset({"foreign"})),
        Asker("service", "service", token("service", "front_desk", "pms", all=True), everyone),
        Asker("service without permission", "service", token("service", "front_desk", "weather"), nobody),
        Asker("operator", "operator", token("operator", "front_desk", "ops", all=True), everyone),
        Asker("operator without permission", "operator", token("operator", "front_desk", "ops-2"), nobody),
    ]
