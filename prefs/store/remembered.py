"""Documents that this process wrote or read last, so that the next edit of the same guest need not read them again.

Nobody is ever told anything from here: what is remembered is used only where the database itself confirms, under the
guest's lock, that version and moment of the last change are still the same.
"""

from collections import OrderedDict
from datetime import datetime

from prefs.core.entries import Document

DOCUMENTS_MAX = 1000
ENTRIES_MAX = 100  # of one document; a larger one is read again, and the memory for all stays below some 100 MiB


class Remembered:
    """Filled on the event loop's thread with what was committed; SQLite's writer only looks."""

    def __init__(self) -> None:
        self._documents: OrderedDict[str, Document] = OrderedDict()

    def __len__(self) -> int:
        return len(self._documents)

    def get(self, guest: str) -> Document | None:
        return self._documents.get(guest)

    def still(self, guest: str, version: int, updated_at: datetime) -> Document | None:
        """The document, if it is the one that the database has."""
        known = self._documents.get(guest)
        return known if known and (known.version, known.updated_at) == (version, updated_at) else None

    def keep(self, document: Document) -> None:
        self.forget(document.guest)
        if len(document.entries) <= ENTRIES_MAX:
            self._documents[document.guest] = document
            if len(self._documents) > DOCUMENTS_MAX:
                self._documents.popitem(last=False)

    def forget(self, guest: str) -> None:
        self._documents.pop(guest, None)
