"""What `Credentials` promises, in the plainest form for the memory store: it forgets everything with the process."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from prefs.core.enrolment import Credential, Decide, Kind
from prefs.core.revocations import Revocable, Revocation, pseudonym


class MemoryCredentials:
    def __init__(self) -> None:
        self._kept: dict[tuple[Kind, str], Credential] = {}
        self._revoked: dict[tuple[Revocable, str], Revocation] = {}

    async def add(self, credential: Credential, now: datetime) -> bool:
        self._kept = {name: kept for name, kept in self._kept.items() if kept.expires_at > now}
        return self._kept.setdefault((credential.kind, credential.id), credential) is credential

    async def get(self, kind: Kind, id: str) -> Credential | None:
        return self._kept.get((kind, id))

    async def of_property(
        self, kind: Kind, property: str, now: datetime, limit: int, after: str = ""
    ) -> list[Credential]:
        found = [c for c in self._kept.values() if (c.kind, c.property) == (kind, property) and c.expires_at > now]
        return sorted((c for c in found if c.id > after), key=lambda credential: credential.id)[:limit]

    async def change[T](self, kind: Kind, id: str, apply: Decide[T]) -> T:
        decided = apply(self._kept.get((kind, id)))
        for name in decided.drop:
            self._kept.pop(name, None)
        self._kept |= {(credential.kind, credential.id): credential for credential in decided.put}
        self._revoked |= {(entry.kind, entry.value): entry for entry in decided.revoke}
        return decided.result

    async def revoke(self, entries: Sequence[Revocation], now: datetime) -> None:
        self._revoked = {name: entry for name, entry in self._revoked.items() if entry.until > now}
        self._revoked |= {(entry.kind, entry.value): entry for entry in entries}

    def rename(self, subject: str) -> int:
        """A subject was erased: what was revoked stays so, without the name."""
        entry = self._revoked.pop((Revocable.SUBJECT, subject), None)
        if entry is None:
            return 0
        self._revoked[Revocable.SUBJECT, pseudonym(subject)] = replace(entry, value=pseudonym(subject))
        return 1

    async def revocations(self, now: datetime) -> list[Revocation]:
        return [entry for entry in self._revoked.values() if entry.until > now]
