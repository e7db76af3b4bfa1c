"""A guest on the desk: edits laid on one after the other with the past they leave, and the usual authors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any

import pytest

from prefs.core.callers import Role
from prefs.core.catalogue import Catalogue
from prefs.core.changes import Change
from prefs.core.edits import Author, Edited, edit, revert
from prefs.core.entries import Consent, Document
from prefs.core.errors import InvalidEdit
from prefs.core.papers import NO_PAPERS, Papers
from prefs.core.patches import parse_scope
from prefs.definitions import load_standard
from tests.core import sights

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
WARMTH = "climate.temperature.occupied"
PILLOWS = "bed.pillow_type"
ALLERGENS = "food.allergens"


@cache
def standard() -> Catalogue:
    return load_standard()


def author(role: str = "guest", kind: str = "stated", surface: str = "guest_app", at: datetime = NOW) -> Author:
    return sights.author(Role(role), f"a-{role}", surface, at, "observed" if kind == "observed" else "")


GUEST, STAFF = author(), author("staff", "stated_via_staff", "front_desk")
OBSERVER, IMPORTER = author("staff", "observed", "housekeeping"), author("service", "imported", "")


class Desk:
    """One guest's document with its past: every accepted edit moves it on."""

    def __init__(self, *purposes: str, catalogue: Catalogue | None = None) -> None:
        consents = tuple(Consent(purpose, NOW, "gst_a", "guest_app") for purpose in purposes)
        self.catalogue = catalogue or standard()
        self.document = Document("gst_a", 1, consents=consents)
        self.changes: list[Change] = []
        self.ids = (f"prf_{n:04}" for n in count(1))

    def since(self, version: int) -> Sequence[Change]:
        return [change for change in self.changes if change.version > version]

    def at(self, version: int) -> Change | None:
        return next((change for change in self.changes if change.version == version), None)

    def papers(self) -> Papers:
        return NO_PAPERS

    def new_id(self) -> str:
        return next(self.ids)

    def edit(
        self,
        patch: Any,
        scope: str = "profile",
        by: Author = GUEST,
        if_match: int | None = None,
        base_version: int | None = None,
    ) -> Edited:
        where = parse_scope(scope)
        versions = {"if_match": if_match, "base_version": base_version}
        return self._keep(edit(self.catalogue, self.document, self, patch, where, by, self.new_id, **versions))

    def revert(self, version: int, by: Author = GUEST) -> Edited:
        return self._keep(revert(self.catalogue, self.document, self, version, by, self.new_id))

    def _keep(self, edited: Edited) -> Edited:
        self.document = edited.document
        if edited.change:
            self.changes.append(edited.change)
        return edited

    def faults(self, patch: Any, scope: str = "profile", by: Author = GUEST) -> set[tuple[str, str]]:
        """Pointer and code of everything wrong with a patch; the document must not have moved."""
        before = self.document
        with pytest.raises(InvalidEdit) as refused:
            self.edit(patch, scope, by)
        assert self.document == before
        return {(fault.pointer, fault.code) for fault in refused.value.faults}

    def said(self, key: str) -> list[tuple[str, Any, str]]:
        return [(str(e.scope), e.value, e.strength.value) for e in self.document.of(key)]
