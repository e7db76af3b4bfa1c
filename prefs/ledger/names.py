"""Which pseudonym a guest has. Made by chance at the first record about them, kept beside the chain and not in it: so
that erasing the name makes all records about a guest nobody's, and no hash changes."""

import secrets
from collections import OrderedDict
from collections.abc import Iterable

from prefs.core.accesses import Name
from prefs.ledger.keys import LedgerKeys
from prefs.ports import LedgerRows

KEPT_MAX = 20_000


class Names:
    def __init__(self, rows: LedgerRows) -> None:
        self._rows = rows
        self._kept: OrderedDict[str, str] = OrderedDict()

    async def of(self, guests: Iterable[str], keys: LedgerKeys) -> dict[str, str]:
        """Pseudonyms by guest, made where there are none; empty for guests that were erased, and for no guest."""
        found = {guest: self._kept[guest] for guest in guests if guest in self._kept}
        missing = {keys.digest(guest): guest for guest in guests if guest and guest not in found}
        if missing:
            known = await self._rows.names(list(missing))
            if fresh := [digest for digest in missing if digest not in known]:
                await self._rows.add_names([_made(digest, missing[digest], keys) for digest in fresh])
                known |= await self._rows.names(fresh)  # another process may have been first
            found |= {guest: known[digest].pseudonym for digest, guest in missing.items()}
            self._keep(found)
        return {"": "", **found}

    async def known(self, guest: str, keys: LedgerKeys) -> str:
        """A guest's pseudonym; empty where there is none."""
        digest = keys.digest(guest)
        found = (await self._rows.names([digest])).get(digest)
        return found.pseudonym if found else ""

    async def erase(self, guest: str, pseudonym: str, keys: LedgerKeys) -> None:
        """A row that says so stays for the pseudonym, and another for the guest; nothing joins the two."""
        digest = keys.digest(guest)
        gone = [_tombstone(digest, keys)]
        if pseudonym:
            apart = keys.digest_of_forgotten(pseudonym)
            gone.append(Name(apart, "", pseudonym, keys.mac(apart, "", pseudonym)))
        await self._rows.add_names(gone)
        await self._rows.put_name(_tombstone(digest, keys))
        self.forget(guest)

    def held(self) -> list[str]:
        return list(self._kept)

    def forget(self, guest: str) -> None:
        """In a process that did not erase them, a guest's pseudonym would else be known until others displace it."""
        self._kept.pop(guest, None)

    def _keep(self, found: dict[str, str]) -> None:
        self._kept |= found
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)


def _made(digest: str, guest: str, keys: LedgerKeys) -> Name:
    pseudonym = secrets.token_hex(16)
    return Name(digest, guest, pseudonym, keys.mac(digest, guest, pseudonym))


def _tombstone(digest: str, keys: LedgerKeys) -> Name:
    return Name(digest, "", "", keys.mac(digest, "", ""))
