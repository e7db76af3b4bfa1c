"""Polling by the letter of RFC 8628, and what is revoked by what."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prefs.core.enrolment import GRANT_LASTS, Grant, GrantStatus, Poll, link_end, seconds_of, user_code_of
from prefs.core.revocations import Revocable, Revocation, Revoked, TokenFacts
from prefs.core.stays import StayStatus
from tests.core.test_access import NOW, stay

SECOND = timedelta(seconds=1)
ASKED = Grant("thermostat-1", "thermostat", "digest", "", seconds_of(NOW))
LONG = timedelta(days=400)


def test_a_device_that_keeps_the_interval_hears_pending_then_ready() -> None:
    told, grant = ASKED.polled("digest", "key", NOW + 5 * SECOND)
    assert told is Poll.PENDING
    told, grant = grant.polled("digest", "key", NOW + 10 * SECOND)
    assert told is Poll.PENDING
    approved = Grant(**{**_fields(grant), "status": GrantStatus.APPROVED})
    assert approved.polled("digest", "key", NOW + 15 * SECOND)[0] is Poll.READY


def test_a_hasty_device_has_to_wait_five_seconds_longer_each_time() -> None:
    _, grant = ASKED.polled("digest", "key", NOW)
    told, grant = grant.polled("digest", "key", NOW + SECOND)
    assert (told, grant.interval) == (Poll.SLOW_DOWN, 10)
    told, grant = grant.polled("digest", "key", NOW + 10 * SECOND)
    assert (told, grant.interval) == (Poll.SLOW_DOWN, 15)
    assert grant.polled("digest", "key", NOW + 25 * SECOND)[0] is Poll.PENDING


@pytest.mark.parametrize(
    ("changes", "secret", "after", "told"),
    [
        ({}, "other", 5 * SECOND, Poll.INVALID),
        ({"jkt": "key"}, "digest", 5 * SECOND, Poll.PENDING),
        ({"jkt": "another"}, "digest", 5 * SECOND, Poll.INVALID),
        ({"status": GrantStatus.DENIED}, "digest", 5 * SECOND, Poll.DENIED),
        ({"status": GrantStatus.APPROVED}, "digest", GRANT_LASTS, Poll.EXPIRED),
        ({"status": GrantStatus.APPROVED}, "digest", GRANT_LASTS - SECOND, Poll.READY),
    ],
)
def test_what_a_device_hears(changes: dict[str, object], secret: str, after: timedelta, told: Poll) -> None:
    assert Grant(**{**_fields(ASKED), **changes}).polled(secret, "key", NOW + after)[0] is told


def _fields(grant: Grant) -> dict[str, object]:
    return dict(grant.stored("x").body)


def test_a_grant_is_read_back_as_it_was_stored() -> None:
    assert Grant.of(ASKED.stored("x")) == ASKED


@pytest.mark.parametrize("typed", ["WDJB-MJHT", "wdjbmjht", " wdjb mjht "])
def test_a_code_may_be_typed_as_people_type(typed: str) -> None:
    assert user_code_of(typed) == "WDJBMJHT"


def test_a_link_ends_with_its_stay() -> None:
    assert link_end(stay(), NOW) == stay().departure
    assert link_end(stay(departure=NOW + LONG), NOW) == NOW + timedelta(days=30)
    for over in ({"departure": NOW}, {"status": StayStatus.CHECKED_OUT}, {"status": StayStatus.CANCELLED}):
        assert link_end(stay(**over), NOW) is None


def test_what_is_revoked_by_what() -> None:
    at = NOW.timestamp()
    facts = TokenFacts("jti-1", "ana", "", "", at)
    device, guest = TokenFacts("", "dev_1", "dev_1", "", at + 60), TokenFacts("", "gst_1", "", "lnk_1", at)

    def revoked(kind: Revocable, value: str) -> Revoked:
        return Revoked([Revocation(kind, value, NOW, NOW + LONG)])

    assert revoked(Revocable.TOKEN, "jti-1").refuses(facts)
    assert not revoked(Revocable.TOKEN, "jti-2").refuses(facts)
    assert revoked(Revocable.SUBJECT, "ana").refuses(facts)
    assert not revoked(Revocable.SUBJECT, "ana").refuses(TokenFacts("", "ana", "", "", at + 1))
    assert revoked(Revocable.DEVICE, "dev_1").refuses(device)
    assert revoked(Revocable.LINK, "lnk_1").refuses(guest)
    for kind in Revocable:
        assert not revoked(kind, "").refuses(facts) and not revoked(kind, "x").refuses(facts)
    assert revoked(Revocable.LINK, "x") == revoked(Revocable.LINK, "x") != Revoked()
