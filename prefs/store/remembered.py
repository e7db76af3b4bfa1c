"""Documents that this process wrote or read last, so that the next edit of the same guest need not read them again.

Nobody is ever told anything from here: what is remembered is used only where the database itself confirms, under the
guest's lock, that version and moment of the last change are still the same.
"""

from collections import OrderedDict
from datetime import datetime

from prefs.store.reads import Known

DOCUMENTS_MAX = 1000
ENTRIES_MAX = 100  # of one document; a larger one is read again, and the memory for all stays below some 100 MiB


class Remembered:
    """Filled on the event loop's thread with what was committed; SQLite's writer only looks."""

    def __init__(self) -> None:
        self._documents: OrderedDict[str, Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._documents)

    def guests(self) -> list[str]:
        return list(self._documents)

    def get(self, guest: str) -> Known | None:
        return self._documents.get(guest)

    def still(self, guest: str, version: int, updated_at: datetime) -> Known | None:
        """The document, if it is the one that the database has."""
        known = self._documents.get(guest)
        document = known.document if known else None
        return known if document and (document.version, document.updated_at) == (version, updated_at) else None

    def keep(self, known: Known) -> None:
        guest = known.document.guest
        self.forget(guest)
        if len(known.document.entries) <= ENTRIES_MAX:
            self._documents[guest] = known
            if len(self._documents) > DOCUMENTS_MAX:
                self._documents.popitem(last=False)

    def forget(self, guest: str) -> None:
        self._documents.pop(guest, None)
