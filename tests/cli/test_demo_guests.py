"""Demo guests: always the same, in all scripts, in house where they should be, fit for the standard catalogue."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime

from api.cli.demo_guests import LANGUAGES, NAMES, demo_guest, demo_guests
from api.cli.demo_hotels import DALLAS, HOTELS
from prefs.bootstrap import standard_catalogue

TODAY = datetime(2026, 11, 22, 12, tzinfo=UTC)
SCRIPTS = {"en": "LATIN", "lo": "LAO", "ka": "GEORGIAN", "th": "THAI", "vi": "LATIN", "ar": "ARABIC"}


def test_the_same_number_is_the_same_guest() -> None:
    assert list(demo_guests(60, TODAY)) == list(demo_guests(60, TODAY))
    assert list(demo_guests(60, TODAY))[41] == demo_guest(41, TODAY)


def test_tastes_do_not_move_with_the_day() -> None:
    later = datetime(2027, 6, 1, 12, tzinfo=UTC)
    assert [g.preferences for g in demo_guests(60, TODAY)] == [g.preferences for g in demo_guests(60, later)]


def test_names_are_in_the_script_of_their_language() -> None:
    assert LANGUAGES == ("en", "lo", "ka", "th", "vi", "ar")
    for language, names in NAMES.items():
        for name in (*names[0], *names[1]):
            letters = [letter for letter in name if letter.isalpha()]
            assert letters and all(unicodedata.name(letter).startswith(SCRIPTS[language]) for letter in letters), name


def test_the_first_guest_is_in_house_at_the_first_hotel() -> None:
    stay = demo_guest(0, TODAY).stay
    assert stay is not None
    assert (stay.property, stay.body["status"], stay.body["room"]) == (DALLAS, "in_house", "1204")
    assert stay.body["arrival"] < "2026-11-22" < stay.body["departure"]


def test_every_hotel_has_guests_in_house_and_guests_to_come() -> None:
    stays = [guest.stay for guest in demo_guests(24, TODAY) if guest.stay]
    for status in ("in_house", "booked"):
        assert {stay.property for stay in stays if stay.body["status"] == status} == set(HOTELS)


def test_only_keys_of_the_catalogue_and_consent_for_every_special_one() -> None:
    catalogue = standard_catalogue()
    for guest in demo_guests(60, TODAY):
        for key in guest.preferences:
            definition = catalogue.get(key)
            assert definition is not None, key
            if definition.is_special_as_a_whole:
                assert definition.purpose in guest.consents, (guest.external_id, key)


def test_preferences_are_varied() -> None:
    told = {key for guest in demo_guests(60, TODAY) for key in guest.preferences}
    assert len(told) >= 15
    assert len({str(guest.preferences) for guest in demo_guests(60, TODAY)}) > 50
