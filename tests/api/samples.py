"""A small world and one good request for every operation in it, found by walking the OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api.schemas.document import operations
from tests.api.front import PROPERTY, Front

DRINK = "lumen.arrival.drink"
DEFINITION: dict[str, Any] = {
    "area": "arrival",
    "definition": {
        "order": 90,
        "merge": "replace",
        "scopes": ["profile", "property", "stay"],
        "contexts": [],
        "strengths": ["preferred", "no_preference"],
        "sensitivity": "P0",
        "purpose": "service_delivery",
        "surfaces": {"front_desk": "value", "guest_app": "value"},
        "clamp": "nearest_choice",
        "retention": "stated",
        "value": {"kind": "choice", "choices": ["tea", "coffee", "water"]},
        "reasons": {
            "scopes": "A drink is a matter of place and trip.",
            "purpose": "The desk offers it.",
            "retention": "A plain wish.",
        },
    },
    "labels": {
        "en": {
            "title": "Welcome drink",
            "help": "Brought to you on arrival.",
            "choices": {"tea": "Tea", "coffee": "Coffee", "water": "Water"},
        }
    },
}


@dataclass(frozen=True)
class Operation:
    """One operation of the document, with how to ask it well."""

    id: str
    method: str
    path: str
    described: dict[str, Any]

    @property
    def takes_body(self) -> bool:
        return "requestBody" in self.described

    @property
    def of_a_guest(self) -> bool:
        return "{guest}" in self.path

    @property
    def guarded(self) -> bool:
        return self.path.startswith("/v1/")

    @property
    def takes_token(self) -> bool:
        return self.guarded or self.path.startswith("/ofrep/")


@dataclass(frozen=True)
class World:
    """`guest` is in house at the property; `elsewhere` is a guest whom nobody at the property has a reason to see;
    `leaving` is there to be erased, so that the others stay."""

    guest: str
    elsewhere: str
    stay: str = "stay-1"
    invitation: str = "inv_" + "0" * 32
    leaving: str = ""


def all_operations(document: dict[str, Any]) -> list[Operation]:
    return [Operation(one["operationId"], method, path, one) for path, method, one in operations(document)]


async def make_world(front: Front) -> World:
    await front.new_property(PROPERTY)
    guest = await front.new_guest("Ana Torres", [{"system": "loyalty", "id": "881"}])
    elsewhere = await front.new_guest("Bo Ek", [{"system": "loyalty", "id": "882"}])
    leaving = await front.new_guest("Cy Moss", [{"system": "loyalty", "id": "883"}])
    await front.prefer(guest, {"climate.temperature.occupied": 21, "room.quiet": True})
    await front.new_stay(guest, World.stay)
    webhook = {"url": "https://pms.hotel.example/guestprefs", "surface": "housekeeping", "enabled": False}
    await front.ok("PUT", "/v1/webhooks/pms", front.operator(), webhook)
    invitations = f"/v1/guests/{guest}/consent-invitations"
    asked = {"purpose": "ui_adaptation", "keys": ["access.vision_formats"]}
    declined = await front.ok("POST", invitations, front.staff(), asked)
    await front.ok("PUT", f"{invitations}/{declined['id']}/answer", front.guest(guest), {"answer": "decline"})
    asked = {"purpose": "food_safety", "keys": ["food.allergens"]}
    made = await front.ok("POST", invitations, front.staff(), asked)
    return World(guest, elsewhere, invitation=made["id"], leaving=leaving)


def path_of(operation: Operation, world: World, guest: str | None = None) -> str:
    return operation.path.format(
        guest=world.guest if guest is None else guest,
        system="pms",
        id="77",
        purpose="ui_adaptation",
        invitation=world.invitation,
        version=2,
        key="room.quiet" if operation.id == "evaluate_flag" else DRINK,
        property=PROPERTY,
        stay=world.stay,
        user_code="BBBB-BBBB",
        device="dev_1",
        link="lnk_1",
        entry="prf_" + "0" * 32,
        webhook="pms",
        delivery="msg_" + "0" * 32,
    )


def body_of(operation: Operation, world: World) -> Any:
    match operation.id:
        case "edit_preferences":
            return {"climate.temperature.occupied": 20}
        case "batch_preferences":
            return {"guests": [world.guest], "property": PROPERTY}
        case "evaluate_flags" | "evaluate_flag":
            return {"context": {"targetingKey": world.guest}}
        case "create_guest":
            return {"display_name": "New Guest"}
        case "edit_guest":
            return {"display_name": "Ana T."}
        case "grant_consent":
            return {"language": "en"}
        case "invite_guest":
            return {"purpose": "food_safety", "keys": ["food.diet"]}
        case "answer_invitation":
            return {"answer": "accept"}
        case "put_personalisation":
            return {"enabled": False}
        case "put_definition":
            return DEFINITION
        case "put_webhook":
            return {"url": "https://pms.hotel.example/guestprefs", "surface": "housekeeping", "enabled": False}
        case "put_property":
            return {"name": "Dallas Downtown", "time_zone": "UTC"}
        case "decide_device_grant":
            return {"property": PROPERTY, "approve": True}
        case "revoke":
            return {"kind": "token", "value": "0199d0f0c1a27cc0a4c3f1f2b6a7d0ff"}
        case "put_stay":
            return {
                "guest": world.guest,
                "property": PROPERTY,
                "arrival": "2026-06-30T12:00:00Z",
                "departure": "2026-07-04T12:00:00Z",
                "room": "1204",
                "status": "in_house",
            }
    return None


def params_of(operation: Operation) -> dict[str, Any]:
    return {"system": "loyalty", "id": "881"} if operation.id == "find_guest" else {}


def entitled(front: Front, operation: Operation, world: World) -> str:
    """A token of somebody who may do this."""
    if operation.id in ("put_property", "delete_property", "list_properties", "put_definition", "delete_definition"):
        return front.operator()
    if "device" in operation.id or operation.id == "revoke" or operation.path.startswith("/v1/webhooks"):
        return front.operator()
    if not operation.of_a_guest or operation.id in ("add_identifier", "remove_identifier", "invite_guest"):
        return front.service()
    if operation.id == "erase_guest" or operation.method == "get" and operation.id != "get_access_log":
        return front.service()  # for every guest: whoever was made just now is followed to what is theirs
    return front.guest(world.guest)
