"""Changes and warnings as JSON data, as far as the surface that asks may see what they hold."""

from typing import Any

from prefs.core import disclosure
from prefs.core.catalogue import Catalogue
from prefs.core.changes import Change, KeyChange
from prefs.core.contradictions import Warned
from prefs.core.entries import Scope
from prefs.core.labels import Labels
from prefs.core.patches import write_instant
from prefs.core.sights import Sight


def show_warning(catalogue: Catalogue, warned: Warned, labels: Labels) -> dict[str, Any]:
    key_labels = labels.keys.get(warned.key)
    choices = key_labels.choices if key_labels else {}
    word = choices.get(str(warned.value), str(warned.value))
    text = labels.warnings.get(warned.code, "").replace("{value}", word)
    return {"key": warned.key, "code": warned.code, "entry": warned.entry, "text": text}


def show_change(
    catalogue: Catalogue, change: Change, sight: Sight, purposes: frozenset[str], places: frozenset[Scope] | None
) -> dict[str, Any]:
    def sides(key_change: KeyChange) -> dict[str, Any]:
        before, after = (
            disclosure.show_entries(catalogue, entries, sight, purposes, places)
            for entries in (key_change.removed, key_change.added)
        )
        return {"key": key_change.key, "before": before, "after": after}

    keys = [shown for key_change in change.keys if (shown := sides(key_change))["before"] or shown["after"]]
    return {
        "version": change.version,
        "at": write_instant(change.at),
        "actor": change.actor,
        "role": change.role,
        "surface": change.surface,
        "action": change.action.value,
        "note": change.note,
        "keys": keys,
    }
