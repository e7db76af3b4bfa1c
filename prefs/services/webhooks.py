"""Webhooks: operators say who outside is told of changes, look at what came of it, and have it told again."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from prefs.core import access
from prefs.core.access import Act
from prefs.core.accesses import Deed
from prefs.core.callers import Caller
from prefs.core.catalogue import SURFACES
from prefs.core.destinations import Network, url_faults
from prefs.core.errors import Fault, InvalidEdit, NotFound
from prefs.core.patches import write_instant
from prefs.core.webhooks import (
    SECRET_BYTES,
    SUBSCRIBABLE,
    Attempt,
    Delivery,
    Endpoint,
    Kind,
    Message,
    Progress,
    Secret,
    Standing,
    State,
)
from prefs.ports import Clock, FeedRows, WebhookRows
from prefs.services.answers import Answer
from prefs.services.deliveries import Deliveries
from prefs.services.witness import Witness

ENDPOINTS_MAX = 50
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def no_webhook() -> NotFound:
    return NotFound("There is no such webhook.")


class Webhooks:
    """`own` are networks that endpoints may lie in beside the public internet."""

    def __init__(
        self,
        rows: WebhookRows,
        feed: FeedRows,
        deliveries: Deliveries,
        clock: Clock,
        witness: Witness,
        own: Sequence[Network] = (),
    ) -> None:
        self.rows, self.feed, self.deliveries = rows, feed, deliveries
        self.clock, self.witness, self.own = clock, witness, own

    async def put(
        self,
        caller: Caller,
        id: str,
        *,
        url: str,
        surface: str,
        events: Sequence[str] | None = None,
        description: str = "",
        enabled: bool = True,
    ) -> tuple[Answer, bool]:
        """Make an endpoint, or say anew what it is; and whether it was made. Only then its secret is told. Raises
        NotAllowed, InvalidEdit, LedgerUnavailable."""
        access.require(caller, Act.CHANGE_WEBHOOKS)
        subscribed = tuple(dict.fromkeys(events)) if events is not None else tuple(SUBSCRIBABLE)
        if faults := [*url_faults(url, self.own), *_faults(surface, subscribed)]:
            raise InvalidEdit(faults)
        now, standing = self.clock.now(), Standing.ON if enabled else Standing.OFF

        def apply(before: Endpoint) -> Endpoint:
            after = replace(
                before, url=url, surface=surface, events=subscribed, description=description, standing=standing
            )
            if standing is Standing.ON and (before.standing is not Standing.ON or before.url != url):
                fresh = replace(before.progress, failures=0, failing_since=None, next_at=None)
                after = replace(after, progress=fresh)  # another chance, at once
            return after if after == before else replace(after, version=before.version + 1)

        async with self.witness.act(caller, Deed.WEBHOOK_PUT):
            changed = await self.rows.change(id, apply)
            if changed is None:
                if len(await self.rows.listed(ENDPOINTS_MAX)) == ENDPOINTS_MAX:
                    raise InvalidEdit([Fault("", "TOO_MANY", f"there are {ENDPOINTS_MAX} webhooks already")])
                key, salt = secrets.token_bytes(SECRET_BYTES), secrets.token_hex(16)
                progress = Progress(await self.feed.end(), now)
                made = Endpoint(
                    *(id, url, surface, subscribed, description, standing, now, 1, salt), (Secret(key),), progress
                )
                if await self.rows.add(made):
                    return Answer({**shown(made), "secret": made.secrets[0].text}, 1), True
                changed = await self.rows.change(id, apply)  # somebody else made it at this moment
        if changed is None:
            raise no_webhook()
        return Answer(shown(changed), changed.version), False

    async def get(self, caller: Caller, id: str) -> Answer:
        found = await self._one(caller, id, Act.READ_WEBHOOKS)
        return Answer(shown(found), found.version)

    async def list(self, caller: Caller) -> Answer:
        access.require(caller, Act.READ_WEBHOOKS)
        return Answer({"webhooks": [shown(one) for one in await self.rows.listed(ENDPOINTS_MAX)]})

    async def delete(self, caller: Caller, id: str) -> None:
        access.require(caller, Act.CHANGE_WEBHOOKS)
        async with self.witness.act(caller, Deed.WEBHOOK_DELETE):
            if not await self.rows.delete(id):
                raise no_webhook()

    async def rotate(self, caller: Caller, id: str) -> Answer:
        """Another secret, told this once; the one before signs beside it for a day."""
        access.require(caller, Act.CHANGE_WEBHOOKS)
        now, key = self.clock.now(), secrets.token_bytes(SECRET_BYTES)
        async with self.witness.act(caller, Deed.WEBHOOK_ROTATE):
            changed = await self.rows.change(id, lambda before: before.rotated(key, now))
            if changed is None:
                raise no_webhook()
        new, old = changed.secrets
        assert old.until is not None
        return Answer({"secret": new.text, "previous_until": write_instant(old.until)})

    async def ping(self, caller: Caller, id: str) -> Answer:
        """Send a message that says nothing, at once and once; what came back."""
        endpoint = await self._one(caller, id, Act.CHANGE_WEBHOOKS)
        message = Message(Kind.PING, {"webhook": id})
        async with self.witness.act(caller, Deed.WEBHOOK_PING):
            attempt = await self.deliveries.attempt(endpoint, f"msg_{secrets.token_hex(16)}", message)
        return Answer({"taken": attempt.taken, **_shown_attempt(attempt)})

    async def log(
        self, caller: Caller, id: str, *, state: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Answer:
        """Deliveries, those tried last first. Raises NotFound, InvalidEdit."""
        await self._one(caller, id, Act.READ_WEBHOOKS)
        before = _read_cursor(cursor) if cursor else None
        found = await self.rows.deliveries(id, State(state) if state else None, limit + 1, before)
        page = found[:limit]
        following = _write_cursor(page[-1]) if len(found) > limit else None
        return Answer({"deliveries": [shown_delivery(one) for one in page], "next_cursor": following})

    async def replay(self, caller: Caller, id: str, delivery: str) -> Answer:
        """Have a message delivered again: what it may say now, under the same id. Raises NotFound."""
        await self._one(caller, id, Act.CHANGE_WEBHOOKS)
        async with self.witness.act(caller, Deed.WEBHOOK_REPLAY):
            found = await self.rows.replay(id, delivery, self.clock.now())
            if found is None:
                raise NotFound("There is no such delivery.")
        return Answer(shown_delivery(found))

    async def _one(self, caller: Caller, id: str, act: Act) -> Endpoint:
        access.require(caller, act)
        found = await self.rows.get(id)
        if found is None:
            raise no_webhook()
        return found


def _faults(surface: str, events: Sequence[str]) -> list[Fault]:
    found = []
    if surface not in SURFACES:
        found.append(Fault("/surface", "UNKNOWN_CHOICE", f"must be one of {', '.join(SURFACES)}"))
    if not events or set(events) - {kind.value for kind in SUBSCRIBABLE}:
        found.append(Fault("/events", "UNKNOWN_CHOICE", f"must be of {', '.join(SUBSCRIBABLE)}, one at least"))
    return found


def shown(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint without its secrets."""
    progress = endpoint.progress
    told: dict[str, Any] = {
        "id": endpoint.id,
        "url": endpoint.url,
        "surface": endpoint.surface,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "status": endpoint.standing.value,
        "created_at": write_instant(endpoint.made_at),
        "version": endpoint.version,
        "failures": progress.failures,
    }
    if progress.failing_since is not None:
        told["failing_since"] = write_instant(progress.failing_since)
    if progress.next_at is not None:
        told["next_attempt_at"] = write_instant(progress.next_at)
    return told


def shown_delivery(delivery: Delivery) -> dict[str, Any]:
    told: dict[str, Any] = {"id": delivery.id, "type": delivery.kind.value, "state": delivery.state.value}
    if delivery.guest:
        told["guest"] = delivery.guest
    if delivery.version:
        told["version"] = delivery.version
    if delivery.place:
        told["property"] = delivery.place
    told |= {
        "created_at": write_instant(delivery.made_at),
        "tried_at": write_instant(delivery.at),
        "tried": delivery.tried,
        "attempts": [_shown_attempt(one) for one in delivery.attempts],
    }
    if delivery.next_at is not None:
        told["next_attempt_at"] = write_instant(delivery.next_at)
    return told


def _shown_attempt(attempt: Attempt) -> dict[str, Any]:
    told: dict[str, Any] = {"at": write_instant(attempt.at), "took_ms": attempt.took_ms}
    if attempt.status:
        told["http_status"] = attempt.status
    if attempt.error:
        told["error"] = attempt.error
    return told


def _write_cursor(delivery: Delivery) -> str:
    return f"{(delivery.at - EPOCH) // timedelta(microseconds=1)}.{delivery.id}"


def _read_cursor(text: str) -> tuple[datetime, str]:
    number, _, id = text.partition(".")
    return EPOCH + timedelta(microseconds=int(number)), id
