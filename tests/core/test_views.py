"""What surfaces see: values with unit and reason, actions without them, device numbers only where they drive."""

import json
from datetime import timedelta

import pytest

from prefs.core.entries import Entered, Entry
from prefs.core.resolve import resolve
from prefs.core.rooms import Basis, Channel, Force, Policy, PolicyLevel
from prefs.core.views import display_name, render
from prefs.definitions import load_standard
from tests.core.builders import NIGHT, NOON, degrees, document, entry, facts, offer
from tests.core.sights import usual

STANDARD = load_standard()
ENGLISH = STANDARD.labels["en"]
OCCUPIED = "climate.temperature.occupied"
SETPOINT = {"thermostat.setpoint": degrees("18", "26", "0.5", deadband="2.5")}
ALL_PURPOSES = "room_setup service_delivery food_safety safety_evacuation ui_adaptation"


def shown(
    surface: str, *entries: Entry, consents: str = "", explain: bool = False, **world: object
) -> dict[str, dict[str, object]]:
    resolved = resolve(
        STANDARD,
        document(*entries, consents=consents),
        facts(**world),  # type: ignore[arg-type]
        sight=usual(surface),
        explain=explain,
    )
    return render(STANDARD, resolved, usual(surface), ENGLISH, explain=explain)


def test_a_clamped_value_as_the_guest_sees_it() -> None:
    wish = entry(OCCUPIED, 1667, entered=Entered(62, "[degF]"))

    assert shown("guest_app", wish, room=SETPOINT)[OCCUPIED] == {
        "value": 18.0,
        "unit": "Cel",
        "strength": "preferred",
        "status": "clamped",
        "layer": "stated/profile",
        "reason": {
            "code": "CAPABILITY_MIN",
            "requested": 16.67,
            "entered": {"value": 62, "unit": "[degF]"},
            "steps": [{"code": "CAPABILITY_MIN", "from": 16.67, "to": 18.0}],
            "text": "This room cannot go below 18.0 °C; we set 18.0 °C. Your preference stays 62 °F.",
        },
    }


def test_what_was_typed_comes_back_digit_for_digit() -> None:
    found = shown("guest_app", entry(OCCUPIED, 2222, entered=Entered(72, "[degF]")))[OCCUPIED]

    assert (found["value"], found["unit"], found["entered"]) == (22.22, "Cel", {"value": 72, "unit": "[degF]"})


@pytest.mark.parametrize(
    ("surface", "pair"), [("thermostat", {"heat": 19.5, "cool": 22.0}), ("guest_app", None), ("kiosk", None)]
)
def test_only_a_surface_that_drives_the_device_gets_its_numbers(surface: str, pair: object) -> None:
    found = shown(surface, entry(OCCUPIED, 2100), room=SETPOINT)[OCCUPIED]

    assert found.get("device_value") == pair


def test_the_television_gets_channel_numbers() -> None:
    wish = entry("tv.favorite_channels", [{"network_id": "espn"}, {"network_id": "cnn"}])
    lineup = (Channel("espn", 35, "sports"), Channel("kvue", 42, "news"))

    found = shown("tv", wish, lineup=lineup)["tv.favorite_channels"]

    assert found["device_value"] == [{"network_id": "espn", "number": 35}, {"network_id": "kvue", "number": 42}]
    assert found["status"] == "substituted"


def test_a_policy_is_named_in_words() -> None:
    policy = Policy(
        "e1", OCCUPIED, PolicyLevel.PROPERTY, Force.MANDATORY, Basis.ENERGY, minimum=2000, name="Cool with care"
    )

    reason = shown("guest_app", entry(OCCUPIED, 1700), policies=(policy,))[OCCUPIED]["reason"]

    assert isinstance(reason, dict) and reason["policy"] == "e1"
    assert reason["text"] == (
        "The rule “Cool with care” does not allow less than 20.0 °C; we set 20.0 °C. Your preference stays 17.0 °C."
    )


def test_housekeeping_gets_the_action_and_not_the_reason() -> None:
    found = shown(
        "housekeeping",
        entry("bed.pillow_type", [{"type": "hypoallergenic", "count": 2}], "required"),
        entry("bed.pillow_type", "feather_down", "unacceptable"),
    )["bed.pillow_type"]

    assert found["action"] == "Feather-free pillows ×2 – must; Feather and down – never"
    assert found.keys() == {"action", "strength", "status", "elements"}


def test_the_kitchen_is_told_what_to_keep_out() -> None:
    allergens = entry(
        "food.allergens", [{"code": "peanuts", "cross_contact": True}, {"code": "sesame"}], "unacceptable"
    )

    kitchen = shown("food", allergens, consents="food_safety")["food.allergens"]

    assert kitchen["action"] == "No peanuts (separate prep), no sesame"
    assert "food.allergens" not in shown("food", allergens)
    assert shown("guest_app", allergens)["food.allergens"]["status"] == "withheld_no_consent"


@pytest.mark.parametrize(
    ("surface", "key", "value", "action"),
    [
        ("front_desk", "access.door_clear_width_min", 813, "Doors at least 81.3 cm wide – must"),
        ("housekeeping", "access.bed_height", {"min": 430, "max": 580}, "Top of mattress 43.0–58.0 cm high – must"),
        (
            "housekeeping",
            "access.bed_height",
            {"min": 430, "max": 580, "under_bed_clearance_min": 180},
            "Top of mattress 43.0–58.0 cm high, at least 18.0 cm free below – must",
        ),
        ("housekeeping", "access.transfer_aids", [{"item": "bed_hoist", "count": 1}], None),
        ("engineering", "access.evacuation_assistance", True, None),
        ("food", "breakfast.style", {"style": "full", "time": "07:30"}, "Breakfast: Full, cooked at 07:30 – must"),
        ("housekeeping", "lighting.shades_position", {"day": 100, "night": 0}, None),
    ],
)
def test_actions_are_whole_sentences(surface: str, key: str, value: object, action: str | None) -> None:
    found = shown(surface, entry(key, value, "required"), consents=ALL_PURPOSES)[key]

    said = str(found["action"])
    assert said and "{" not in said and "}" not in said
    assert action is None or said == action


def test_an_animal_that_does_not_come_is_no_task() -> None:
    key = "access.service_animal"

    found = {
        present: shown("housekeeping", entry(key, {"present": present}, "required"), consents=ALL_PURPOSES)[key][
            "action"
        ]
        for present in (True, False)
    }

    assert str(found[True]).startswith("Animal in the room") and found[False] is None


def test_what_is_not_available_is_named_alone() -> None:
    wish = entry("tv.favorite_channels", [{"network_id": "espn"}, {"network_id": "cnn"}])
    lineup = (Channel("espn", 35, "sports"), Channel("kvue", 42, "news", "KVUE"))

    reason = shown("guest_app", wish, lineup=lineup)["tv.favorite_channels"]["reason"]

    assert isinstance(reason, dict)
    assert reason["text"] == "cnn is not available here; you get KVUE instead."


def test_no_action_surface_ever_gets_values_or_reasons() -> None:
    entries = [entry(d.key, d.default, "preferred") for d in STANDARD if d.default is not None]

    for surface in ("housekeeping", "engineering", "food"):
        for key, found in shown(surface, *entries, consents=ALL_PURPOSES, explain=True).items():
            assert found.keys() <= {"action", "strength", "status", "elements"}, key


def test_a_surface_sees_its_own_keys_only() -> None:
    entries = [entry(d.key, d.default, "preferred") for d in STANDARD if d.default is not None]

    for surface in ("thermostat", "lights", "tv", "kiosk", "food", "housekeeping"):
        visible = {d.key for d in STANDARD if surface in d.surfaces}
        assert shown(surface, *entries, consents=ALL_PURPOSES).keys() <= visible


def test_explain_adds_the_losers_with_a_sentence_and_changes_nothing_else() -> None:
    entries = [entry(OCCUPIED, 2000), entry("climate.temperature.sleep", 1850)]

    plain, explained = (shown("guest_app", *entries, explain=e, at=NIGHT)[OCCUPIED] for e in (False, True))

    considered = explained.pop("considered")
    assert explained == plain
    assert considered == [
        {
            "entry": f"{OCCUPIED}-stated-profile-1-preferred",
            "layer": "stated/profile",
            "value": 20.0,
            "strength": "preferred",
            "code": "LESS_SPECIFIC_CONTEXT",
            "text": "Something said for this very situation counts more.",
        }
    ]


def test_an_observation_is_not_even_told_of_at_another_property() -> None:
    seen = entry("tv.favorite_channels", [{"network_id": "bandamax"}], known="observed", at="property:cancun")

    found = shown("guest_app", seen, entry("tv.favorite_channels", [{"network_id": "espn"}]), explain=True)

    assert "bandamax" not in json.dumps(found)


def test_a_key_asked_for_is_there_though_nothing_is_known() -> None:
    about = document(consents=ALL_PURPOSES)
    resolved = resolve(STANDARD, about, facts(), keys=["room.view", "access.bathroom"], sight=usual("front_desk"))

    found = render(STANDARD, resolved, usual("front_desk"), ENGLISH)

    assert found["room.view"]["value"] is None and found["room.view"]["layer"] is None
    assert found["room.view"]["status"] == "default"
    assert found["access.bathroom"] == {"action": None, "status": "default"}


def test_every_answer_is_json_in_every_language() -> None:
    entries = [entry(d.key, d.default, "preferred") for d in STANDARD if d.default is not None]
    at = NOON + timedelta(hours=11)

    for labels in STANDARD.labels.values():
        resolved = resolve(STANDARD, document(*entries), facts(at, {"light": offer("a")}), explain=True)
        rendered = render(STANDARD, resolved, usual("guest_app"), labels, explain=True)
        assert json.loads(json.dumps(rendered)) == rendered


@pytest.mark.parametrize(
    ("setting", "addressed_as", "name"),
    [
        ("full", "", "Ana María Ruiz"),
        ("first_only", "", "Ana"),
        (None, "", "Ana"),
        ("alias", "Ms Ruiz", "Ms Ruiz"),
        ("alias", "", "Ana"),
        ("none", "Ms Ruiz", None),
    ],
)
def test_how_much_of_a_name_a_screen_shows(setting: str | None, addressed_as: str, name: str | None) -> None:
    assert display_name("Ana María Ruiz", setting, addressed_as) == name
    assert display_name("", setting) is None
