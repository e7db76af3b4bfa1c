"""Imported special-category values that no consent covers: set aside when they come, laid on the document when it does.

What waits is the member of the edit as it came, so that it is judged again when it is let in: the catalogue may have
moved on meanwhile, and what it no longer takes is gone.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from prefs.core import access
from prefs.core.callers import Caller, Role
from prefs.core.catalogue import Catalogue, Definition
from prefs.core.changes import KeyChange, Written
from prefs.core.edits import Author, Edited, Past, edit
from prefs.core.entries import Document, Scope
from prefs.core.errors import PrefsError
from prefs.core.papers import WAITS_AT_MOST, Papers, Waiting
from prefs.core.patches import parse_scope
from prefs.core.sights import Relation


def keep(
    catalogue: Catalogue,
    written: Written,
    edited: Edited,
    past: Past,
    patch: Mapping[str, Any],
    scope: Scope,
    author: Author,
    new_id: Callable[[], str],
) -> Written:
    """An import with what of it waits for a consent: the answer names the keys, and nothing else of the write does."""
    definitions = [definition for key in patch if (definition := catalogue.get(key))]
    if not any(definition.is_special_as_a_whole or definition.special_when for definition in definitions):
        return written
    papers = past.papers()
    kept = set_aside(papers, patch, edited.aside, scope, author, new_id)
    if kept == papers:
        return written
    waiting = sorted(definition.key for definition in edited.aside)
    told = {**written.answer, "waiting_for_consent": waiting} if waiting else written.answer
    return replace(written, papers=kept, answer=told)


def set_aside(
    papers: Papers,
    patch: Mapping[str, Any],
    aside: Iterable[Definition],
    scope: Scope,
    author: Author,
    new_id: Callable[[], str],
) -> Papers:
    """The papers with these members waiting. What the same source brought before for a key and place of this patch
    goes, whether it brings another value, none, or one that needs no consent."""
    waiting = [
        one
        for one in papers.waiting
        if one.waits(author.at) and not (one.key in patch and (one.scope, one.source) == (str(scope), author.actor))
    ]
    for definition in aside:
        waiting.append(
            Waiting(
                new_id(),
                definition.purpose,
                definition.key,
                str(scope),
                json.dumps(patch[definition.key], default=_number),
                author.actor,
                author.surface,
                author.at,
                author.at + WAITS_AT_MOST,
            )
        )
    return replace(papers, waiting=tuple(waiting))


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"not JSON: {type(value).__name__}")


def value_of(waiting: Waiting) -> Any:
    """What waits, as it was imported."""
    return json.loads(waiting.member)


@dataclass(frozen=True, slots=True)
class Released:
    """`dropped` are keys whose values the catalogue does not take any more."""

    document: Document
    changes: tuple[KeyChange, ...] = ()
    keys: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def release(
    catalogue: Catalogue,
    document: Document,
    past: Past,
    waiting: Sequence[Waiting],
    now: datetime,
    new_id: Callable[[], str],
) -> Released:
    """Lay on the document what has not waited too long. The consents of the document must cover it; its version stays,
    the entries carry the next one."""
    changed: dict[str, KeyChange] = {}
    keys: list[str] = []
    dropped: list[str] = []
    after = document
    for one in waiting:
        if not one.waits(now):
            continue
        importer = Caller(one.source, Role.SERVICE, one.surface)
        sight = access.sight_of(importer, Relation.NONE)
        author = Author(Role.SERVICE, one.source, one.surface, access.writing(importer), one.at, sight)
        patch = {one.key: json.loads(one.member, parse_float=Decimal)}
        try:
            edited = edit(catalogue, after, past, patch, parse_scope(one.scope), author, new_id)
        except PrefsError:
            dropped.append(one.key)
            continue
        after = replace(edited.document, version=document.version, updated_at=document.updated_at)
        keys.append(one.key)
        for change in edited.change.keys if edited.change else ():
            before = changed.get(change.key, KeyChange(change.key, (), ()))
            changed[change.key] = KeyChange(change.key, before.removed + change.removed, before.added + change.added)
    return Released(after, tuple(changed.values()), tuple(dict.fromkeys(keys)), tuple(dict.fromkeys(dropped)))
