"""What `WebhookRows` promises, in the plainest form for the memory store: it forgets everything with the process."""

from collections.abc import Callable, Container
from dataclasses import replace
from datetime import datetime

from prefs.core.webhooks import Delivery, Endpoint, Progress, Standing, State
from prefs.ports import Backlog


class MemoryWebhooks:
    def __init__(self, guests: Container[str]) -> None:
        self._guests = guests
        self._endpoints: dict[str, Endpoint] = {}
        self._owners: dict[str, str] = {}
        self._log: dict[tuple[str, str], Delivery] = {}

    async def add(self, endpoint: Endpoint) -> bool:
        return self._endpoints.setdefault(endpoint.id, endpoint) is endpoint

    async def get(self, id: str) -> Endpoint | None:
        return self._endpoints.get(id)

    async def listed(self, limit: int, after: str = "") -> list[Endpoint]:
        return [self._endpoints[id] for id in sorted(self._endpoints) if id > after][:limit]

    async def change(self, id: str, apply: Callable[[Endpoint], Endpoint]) -> Endpoint | None:
        if (found := self._endpoints.get(id)) is not None:
            self._endpoints[id] = found = apply(found)
        return found

    async def delete(self, id: str) -> bool:
        self._log = {name: one for name, one in self._log.items() if name[0] != id}
        return self._endpoints.pop(id, None) is not None

    async def lease(self, owner: str, now: datetime, until: datetime, renew: datetime) -> list[Endpoint]:
        taken = []
        for id, endpoint in self._endpoints.items():
            free = endpoint.leased_until is None or endpoint.leased_until <= now
            if endpoint.standing is Standing.ON and (free or self._owners.get(id) == owner):
                self._owners[id] = owner
                self._endpoints[id] = replace(endpoint, leased_until=until)
                taken.append(self._endpoints[id])
        return taken

    async def release(self, owner: str) -> None:
        for id in [id for id, holder in self._owners.items() if holder == owner and id in self._endpoints]:
            self._endpoints[id] = replace(self._endpoints[id], leased_until=None)
            del self._owners[id]

    async def keep(self, owner: str, id: str, progress: Progress | None, delivery: Delivery | None = None) -> bool:
        if self._owners.get(id) != owner or id not in self._endpoints:
            return False
        if delivery is not None and (not delivery.guest or delivery.guest in self._guests):
            self._log[id, delivery.id] = delivery
        if progress is not None:
            self._endpoints[id] = replace(self._endpoints[id], progress=progress)
        return True

    async def delivery(self, endpoint: str, id: str) -> Delivery | None:
        return self._log.get((endpoint, id))

    async def deliveries(
        self, endpoint: str, state: State | None, limit: int, before: tuple[datetime, str] | None = None
    ) -> list[Delivery]:
        found = [
            one
            for one in self._of(endpoint)
            if state in (None, one.state) and (before is None or (one.at, one.id) < before)
        ]
        return sorted(found, key=lambda one: (one.at, one.id), reverse=True)[:limit]

    async def due(self, endpoint: str, now: datetime, limit: int) -> list[Delivery]:
        pending = [one for one in self._of(endpoint) if one.state is State.PENDING]
        found = [one for one in pending if one.next_at is not None and one.next_at <= now]
        return sorted(found, key=lambda one: (one.made_at, one.id))[:limit]

    def _of(self, endpoint: str) -> list[Delivery]:
        return [one for (of, _), one in self._log.items() if of == endpoint]

    async def replay(self, endpoint: str, id: str, now: datetime) -> Delivery | None:
        found = self._log.get((endpoint, id))
        if found is not None and found.state is not State.PENDING:
            self._log[endpoint, id] = found = replace(found, state=State.PENDING, since=now, next_at=now)
        return found

    async def trim(self, until: datetime, limit: int) -> int:
        old = [name for name, one in self._log.items() if one.at <= until and one.state is not State.PENDING][:limit]
        for name in old:
            del self._log[name]
        return len(old)

    async def backlog(self) -> Backlog:
        on = [one for one in self._endpoints.values() if one.standing is Standing.ON]
        failing = {one.id: one.progress.failing_since for one in on if one.progress.failing_since}
        gone = [one.id for one in self._endpoints.values() if one.standing is Standing.GONE]
        return Backlog(len(self._endpoints), failing, gone, sum(one.state is State.DEAD for one in self._log.values()))

    def forget(self, guest: str) -> int:
        """What was said of a guest goes with them."""
        old = [name for name, one in self._log.items() if one.guest == guest]
        for name in old:
            del self._log[name]
        return len(old)
