"""The 67 standard keys against the data dictionary they come from, written out here a second time on purpose."""

from decimal import Decimal
from typing import Any

import pytest

from prefs.core import values
from prefs.core.catalogue import STAFF_SURFACES, Catalogue, Clamp, Definition, Sensitivity, Showing
from prefs.core.entries import ScopeKind, Strength
from prefs.definitions import load_standard

STANDARD = load_standard()

SURFACES = {
    "TH": "thermostat",
    "LT": "lights",
    "TV": "tv",
    "KI": "kiosk",
    "HK": "housekeeping",
    "FD": "front_desk",
    "FB": "food",
    "EN": "engineering",
    "GA": "guest_app",
}
CLAMPS = {"C": Clamp.NEAREST_IN_RANGE, "E": Clamp.NEAREST_CHOICE, "-": Clamp.NEVER}

# key, class (P1+ turns special by strength or value), surfaces (the guest's own comes on top everywhere), clamp
DICTIONARY = """
climate.temperature.occupied   P0  C  TH KI FD
climate.temperature.sleep      P0  C  TH KI
climate.mode                   P0  E  TH
climate.fan_mode               P0  E  TH
climate.setback_when_away      P0  E  TH EN
climate.precondition_on_arrival P0 -  TH FD
lighting.arrival_scene         P0  E  LT
lighting.brightness            P0  C  LT KI
lighting.color_temperature     P0  C  LT
lighting.night_light           P0  E  LT HK
lighting.shades_position       P0  C  LT HK
tv.favorite_channels           P1  E  TV
tv.streaming_apps              P1  E  TV
tv.volume_default              P0  C  TV
tv.captions                    P1+ E  TV KI
tv.audio_description           P1+ -  TV
tv.audio_language              P0  E  TV
tv.parental_lock               P0  E  TV FD
bed.type                       P0  E  FD HK
bed.pillow_type                P0  E  HK
bed.mattress                   P0  E  HK FD
room.floor_level               P0  E  FD
room.elevator_proximity        P0  E  FD
room.quiet                     P0  -  FD
room.view                      P0  E  FD
room.smoking                   P0  -  FD
room.bath_type                 P0  E  FD
room.connecting                P0  -  FD
room.extra_bedding             P0  -  HK FD
room.allergen_care             SC  -  HK FD
access.bathroom                SC  -  FD HK
access.step_free_route         SC  -  FD
access.door_clear_width_min    SC  -  FD
access.bed_height              SC  -  FD HK
access.transfer_aids           SC  -  HK EN
access.hearing_alerting        SC  -  HK EN FD
access.hearing_communication   SC  -  FD KI
access.vision_formats          SC  -  KI FD HK
access.cognitive_support       SC  -  FD KI
access.service_animal          SC  -  FD HK
access.medical_equipment       SC  -  HK EN
access.evacuation_assistance   SC  -  EN FD
food.diet                      SC  -  FB
food.allergens                 SC  -  FB HK
beverage.preferred             P1  E  FB HK
minibar.stock                  P1+ E  HK
breakfast.style                P0  E  FB
locale.language                P0  E  TH LT TV KI HK FD FB EN
locale.temperature_unit        P0  E  TH KI TV
locale.hour_format             P0  E  TV KI TH
comms.channel                  P1  E  FD
comms.quiet_hours              P1  -  FD TV
comms.addressed_as             P1  -  FD TV KI
display.text_scale             P1  C  KI TV
display.contrast               P1  E  KI TV
display.reduced_motion         P1  -  KI TV
housekeeping.frequency         P0  E  HK
housekeeping.time_window       P0  E  HK
housekeeping.turndown          P0  -  HK
housekeeping.linen_reuse       P0  -  HK
wake_up.schedule               P0  E  FD TV LT
arrival.check_in_method        P0  E  KI FD
privacy.do_not_disturb         P0  -  HK FD TV
privacy.name_display           P1  -  TV KI FD
privacy.voice_assistant        P0  -  TV EN
privacy.share_scope            P1  -
privacy.observation_opt_out    P1  -  HK FD FB EN
"""
ROWS = [line.split() for line in DICTIONARY.strip().splitlines()]

DEFAULTS: dict[str, Any] = {
    "climate.mode": "auto",
    "climate.fan_mode": "auto",
    "climate.setback_when_away": "eco",
    "climate.precondition_on_arrival": True,
    "lighting.arrival_scene": "welcome",
    "lighting.brightness": 60,
    "lighting.color_temperature": 2700,
    "lighting.night_light": "bathroom",
    "lighting.shades_position": {"day": 100, "night": 0},
    "tv.volume_default": 20,
    "tv.captions": {"mode": "off"},
    "tv.audio_description": False,
    "tv.parental_lock": "none",
    "room.smoking": "non_smoking",
    "minibar.stock": {"style": "standard"},
    "comms.channel": ["app", "email"],
    "display.text_scale": 100,
    "display.contrast": "no_preference",
    "display.reduced_motion": "no_preference",
    "housekeeping.linen_reuse": True,
    "privacy.name_display": "first_only",
    "privacy.voice_assistant": "off",
    "privacy.observation_opt_out": False,
}

UNIONS = {
    *("food.allergens", "room.allergen_care", "access.bathroom", "access.transfer_aids", "access.hearing_alerting"),
    *("access.hearing_communication", "access.vision_formats", "access.cognitive_support", "access.medical_equipment"),
}
STRICTEST: dict[str, list[Any]] = {
    "tv.parental_lock": ["none", "adult_blocked", "kids_only"],
    "privacy.voice_assistant": ["on", "off"],
    "privacy.name_display": ["full", "first_only", "alias", "none"],
    "privacy.observation_opt_out": [False, True],
    "privacy.share_scope": ["partners", "chain", "brand", "property"],
    "privacy.do_not_disturb": [],
}
OBJECTS = {"lighting.shades_position", "tv.captions", "breakfast.style"}
WANT_FIRST = {"bed.type", "room.view", "locale.language", "tv.audio_language", "comms.channel"}


def named(key: str) -> Definition:
    definition = STANDARD.get(key)
    assert definition is not None, f"{key} is not in the catalogue"
    return definition


def test_the_keys_are_those_of_the_dictionary_in_its_order() -> None:
    assert [definition.key for definition in STANDARD] == [row[0] for row in ROWS]
    assert len(ROWS) == 67


@pytest.mark.parametrize(("key", "sensitivity", "clamp", "surfaces"), [(r[0], r[1], r[2], r[3:]) for r in ROWS])
def test_class_clamp_and_surfaces(key: str, sensitivity: str, clamp: str, surfaces: list[str]) -> None:
    definition = named(key)
    assert definition.sensitivity is Sensitivity(sensitivity.rstrip("+"))
    assert (definition.special_when is not None) == sensitivity.endswith("+")
    assert definition.clamp is CLAMPS[clamp]
    assert set(definition.surfaces) == {SURFACES[surface] for surface in surfaces} | {"guest_app"}


@pytest.mark.parametrize("definition", list(STANDARD), ids=lambda d: d.key)
def test_surfaces_get_no_more_than_their_task_needs(definition: Definition) -> None:
    for surface, showing in definition.surfaces.items():
        told = surface in ("housekeeping", "food", "engineering") or (
            surface == "front_desk" and definition.sensitivity is Sensitivity.SC
        )
        assert showing is (Showing.ACTION if told else Showing.VALUE), surface


@pytest.mark.parametrize("definition", list(STANDARD), ids=lambda d: d.key)
def test_every_choice_of_ours_has_a_reason(definition: Definition) -> None:
    reasons = definition.raw["reasons"]
    wanted = {"scopes", "contexts", "purpose", "retention"}
    for column in ("fallbacks", "special_when", "stands_for", "exclusive", "purposes", "genres"):
        if column in definition.raw:
            wanted.add(column)
    assert wanted <= reasons.keys()
    assert all(isinstance(text, str) and text.endswith(".") and "\n" not in text for text in reasons.values())


@pytest.mark.parametrize("definition", list(STANDARD), ids=lambda d: d.key)
def test_defaults_are_only_the_literal_ones(definition: Definition) -> None:
    assert definition.default == DEFAULTS.get(definition.key)


@pytest.mark.parametrize("definition", list(STANDARD), ids=lambda d: d.key)
def test_merge_rules(definition: Definition) -> None:
    key = definition.key
    expected = (
        "union" if key in UNIONS else "strictest" if key in STRICTEST else "object" if key in OBJECTS else "replace"
    )
    assert definition.merge.value == expected
    assert list(definition.strictest_order) == STRICTEST.get(key, [])
    assert definition.want_all is (key not in WANT_FIRST)


@pytest.mark.parametrize("definition", list(STANDARD), ids=lambda d: d.key)
def test_strengths_follow_the_kind(definition: Definition) -> None:
    if definition.fixed_strength:
        assert definition.key == "food.allergens"
        assert definition.strengths == {Strength.UNACCEPTABLE}
        return
    assert {Strength.PREFERRED, Strength.NO_PREFERENCE} <= definition.strengths
    if definition.capability:
        assert Strength.REQUIRED in definition.strengths, "what a room can alter may be a need"
    refusable = isinstance(definition.kind, values.Choice) or (
        isinstance(definition.kind, values.Sequence)
        and (definition.kind.id_field is not None or not isinstance(definition.kind.items, values.Object))
    )
    assert ({Strength.AVOID, Strength.UNACCEPTABLE} <= definition.strengths) is refusable


@pytest.mark.parametrize("definition", list(STANDARD), ids=lambda d: d.key)
def test_only_what_a_device_in_the_room_drives_can_be_pressed_there(definition: Definition) -> None:
    if ScopeKind.ROOM in definition.scopes:
        assert definition.capability is not None
        assert definition.capability.source == "room"
        assert {"thermostat", "lights", "tv"} & definition.surfaces.keys()
    assert {ScopeKind.PROFILE, ScopeKind.BRAND, ScopeKind.PROPERTY, ScopeKind.STAY} <= definition.scopes


@pytest.mark.parametrize("definition", list(STANDARD), ids=lambda d: d.key)
def test_ids_named_anywhere_are_ids_of_the_value(definition: Definition) -> None:
    known = {choice for _, choice in values.choices(definition.kind)}
    if definition.special_when:
        assert definition.special_when.values <= known
        assert definition.special_when.strengths <= definition.strengths
    assert set(definition.genres.values()) <= known
    assert set(definition.purposes) <= set(definition.surfaces)
    if isinstance(definition.kind, values.Sequence):
        assert all(group <= known for group in definition.kind.exclusive)
    for code in (*definition.codes, *(code for codes in definition.choice_codes.values() for code in codes)):
        system, colon, rest = code.partition(":")
        assert colon and rest and system.isalpha() and system.islower(), code


@pytest.mark.parametrize("definition", list(STANDARD), ids=lambda d: d.key)
def test_nearest_choices_have_somewhere_to_go(definition: Definition) -> None:
    needs = definition.capability is not None and definition.clamp is Clamp.NEAREST_CHOICE
    languages = isinstance(definition.kind, values.Sequence) and definition.kind.items.name == "language"
    without = {"tv.streaming_apps"}  # an app the guest has no account for replaces nothing
    if needs and not languages and not definition.genres and definition.key not in without:
        assert definition.fallbacks
    if definition.clamp is Clamp.NEVER:
        assert not definition.fallbacks


def test_sensitive_keys_ask_for_consent_to_what_they_are_used_for() -> None:
    purposes = {d.key: d.purpose for d in STANDARD if d.sensitivity is Sensitivity.SC}
    assert purposes.pop("food.diet") == purposes.pop("food.allergens") == "food_safety"
    assert purposes.pop("access.evacuation_assistance") == "safety_evacuation"
    assert purposes.pop("room.allergen_care") == "room_setup"
    assert set(purposes.values()) == {"service_delivery"}
    assert named("access.vision_formats").purpose_at("kiosk") == "ui_adaptation"
    assert all(d.retention == "special" for d in STANDARD if d.sensitivity is Sensitivity.SC)


def test_nothing_with_alcohol_stands_in_for_something_without() -> None:
    alcohol = {"beer", "red_wine", "white_wine"}
    for asked, others in named("beverage.preferred").fallbacks.items():
        assert asked in alcohol or not alcohol & set(others)
    assert not {"standard", "custom"} & set(named("minibar.stock").fallbacks["no_alcohol"])
    assert all("feather_down" not in others for others in named("bed.pillow_type").fallbacks.values())


def test_children_keep_their_lock_when_it_has_to_be_replaced() -> None:
    fallbacks = named("tv.parental_lock").fallbacks
    assert all("none" not in others for others in fallbacks.values())


@pytest.mark.parametrize("key", sorted(OBJECTS))
def test_objects_that_merge_by_field_can_be_stated_in_part(key: str) -> None:
    kind = named(key).kind
    assert isinstance(kind, values.Object)
    assert kind.optional == kind.fields.keys()


def test_the_night_value_stands_for_the_day_key() -> None:
    standing = STANDARD.standing["climate.temperature.occupied"]
    assert [d.key for d in standing] == ["climate.temperature.sleep"]
    assert standing[0].stands_for is not None
    assert standing[0].stands_for.time_of_day == "sleep"
    assert standing[0].capability == named("climate.temperature.occupied").capability


def test_sensitivity_by_value_and_by_strength() -> None:
    captions, minibar = named("tv.captions"), named("minibar.stock")
    assert captions.is_special(Strength.REQUIRED, {"mode": "on"})
    assert not captions.is_special(Strength.PREFERRED, {"mode": "on"})
    assert minibar.is_special(Strength.PREFERRED, {"style": "no_alcohol"})
    assert not minibar.is_special(Strength.REQUIRED, {"style": "empty"})
    pillows = [{"type": "hypoallergenic", "count": 2}]
    assert not named("bed.pillow_type").is_special(Strength.REQUIRED, pillows)


def test_temperatures_take_both_units_exactly() -> None:
    kind = named("climate.temperature.occupied").kind
    faults: list[Any] = []
    assert kind.check(72, "[degF]", "", faults) == 2222
    assert kind.check(Decimal("20.5"), None, "", faults) == 2050
    assert faults == []
    kind.check(61, None, "", faults)
    assert [fault.code for fault in faults] == ["OUT_OF_RANGE"]


def test_staff_learn_who_does_not_want_notes() -> None:
    assert set(STAFF_SURFACES) <= set(named("privacy.observation_opt_out").surfaces)


def test_groups_that_cannot_stand_together() -> None:
    assert {group.id: group.members for group in STANDARD.groups} == {
        "stairs_or_step_free": ("room.elevator_proximity=near_stairs", "access.step_free_route=full"),
        "smoke_or_clean_air": ("room.smoking=smoking", "room.allergen_care=allergy_friendly_room"),
        "feathers_or_none": ("bed.pillow_type=feather_down", "room.allergen_care=hypoallergenic_bed"),
    }
    assert all(group.maximum == 1 and group.reason.endswith(".") for group in STANDARD.groups)


def test_loading_twice_gives_equal_catalogues() -> None:
    again: Catalogue = load_standard()
    assert again.definitions == STANDARD.definitions
    assert again.labels == STANDARD.labels
