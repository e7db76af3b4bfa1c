"""The written form of labels: plain data in, checked `Labels` out, held against the definitions they speak of.

A label that is missing would show a guest an empty button; one for a key or choice that does not exist is a typing
error that leaves the real one without its word. Both are refused. Pure: no file is opened here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from prefs.core import values
from prefs.core.catalogue import SURFACES, Definition, Showing
from prefs.core.entries import Strength
from prefs.core.errors import CatalogueInvalid
from prefs.core.labels import KeyLabels, Labels

SECTIONS = ("meta", "areas", "keys", "strengths", "reasons", "warnings")
KEY_SECTIONS = ("choices", "fields", "actions")
REVIEWS = ("source", "machine", "reviewed")
REASONS = frozenset(
    "CAPABILITY_MIN CAPABILITY_MAX CAPABILITY_STEP CAPABILITY_UNKNOWN CAPABILITY_CHOICE CAPABILITY_UNAVAILABLE DEADBAND"
    " POLICY_MIN POLICY_MAX POLICY_CHOICE POLICY_FORBIDDEN DEFAULT_PROPERTY DEFAULT_BRAND DEFAULT_CATALOGUE"
    " NOTHING_KNOWN NO_CONSENT NO_PREFERENCE LANGUAGE_REGION REFUSED STANDS_FOR LOWER_CLASS WISH_BELOW_NEED LOWER_SCOPE"
    " LESS_SPECIFIC_CONTEXT CONTEXT_AXIS OLDER LOWER_ID CONTEXT_MISMATCH AVOIDED STOPPED_BY_NO_PREFERENCE EXPIRED"
    " OTHER_PROPERTY SUGGESTION_ONLY SPECIAL_NOT_OBSERVED LESS_STRICT NO_RECORD PERSONALISATION_OFF".split()
)
WARNINGS = frozenset({"REFUSED_ELSEWHERE", "OUTRANKED_BY_NEED"})
REASON_PLACEHOLDERS = frozenset({"value", "requested", "limit", "policy", "items"})
WHOLE = "_"  # the action sentence around the elements
REFUSED = "not_"  # how an element speaks that the guest refuses, before its id
EACH = "each"  # how an element speaks that has no action of its own
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def parse_labels(file: str, raw: Mapping[str, Any]) -> Labels:
    """Labels of one language out of their written form. Raises CatalogueInvalid."""
    for unknown in sorted(set(raw) - set(SECTIONS)):
        raise CatalogueInvalid(file, "", unknown, "is not a table of a labels file")
    meta = _texts(file, "", "meta", raw.get("meta", {}))
    for name in ("language", "name", "direction", "review"):
        if name not in meta:
            raise CatalogueInvalid(file, "", f"meta.{name}", "is missing")
    if meta["direction"] not in ("ltr", "rtl"):
        raise CatalogueInvalid(file, "", "meta.direction", "must be ltr or rtl")
    if meta["review"] not in REVIEWS:
        raise CatalogueInvalid(file, "", "meta.review", "must be one of " + ", ".join(REVIEWS))
    keys = raw.get("keys", {})
    if not isinstance(keys, Mapping):
        raise CatalogueInvalid(file, "", "keys", "must be a table")
    return Labels(
        language=meta["language"],
        name=meta["name"],
        direction=meta["direction"],
        areas=_texts(file, "", "areas", raw.get("areas", {})),
        keys={
            key: replace(parse_key_labels(file, key, body, meta["review"]), separator=meta.get("separator", ", "))
            for key, body in keys.items()
        },
        strengths=_texts(file, "", "strengths", raw.get("strengths", {})),
        reasons=_texts(file, "", "reasons", raw.get("reasons", {})),
        warnings=_texts(file, "", "warnings", raw.get("warnings", {})),
    )


def parse_key_labels(file: str, key: str, raw: Any, review: str = "machine") -> KeyLabels:
    """Labels of one key, as they stand in a file or in an operator's extension. Raises CatalogueInvalid."""
    if not isinstance(raw, Mapping):
        raise CatalogueInvalid(file, key, "", "must be a table")
    for unknown in sorted(set(raw) - {"title", "help", "review", *KEY_SECTIONS}):
        raise CatalogueInvalid(file, key, unknown, "is not a label of a key")
    for name in ("title", "help"):
        if not isinstance(raw.get(name), str) or not raw[name].strip():
            raise CatalogueInvalid(file, key, name, "is missing")
    mark = raw.get("review", review)
    if mark not in REVIEWS:
        raise CatalogueInvalid(file, key, "review", "must be one of " + ", ".join(REVIEWS))
    choices, fields, actions = (_texts(file, key, section, raw.get(section, {})) for section in KEY_SECTIONS)
    return KeyLabels(raw["title"], raw["help"], choices, fields, actions, mark)


def check_labels(file: str, labels: Labels, areas: Iterable[str], definitions: Mapping[str, Definition]) -> None:
    """Exactly one word for everything that has a name. Raises CatalogueInvalid for what is missing or unknown."""
    _same(file, "", "areas", labels.areas, frozenset(areas))
    _same(file, "", "strengths", labels.strengths, frozenset(strength.value for strength in Strength))
    _same(file, "", "reasons", labels.reasons, REASONS)
    _same(file, "", "warnings", labels.warnings, WARNINGS)
    for code, sentence in (*labels.reasons.items(), *labels.warnings.items()):
        _placeholders(file, "", f"reasons.{code}", sentence, REASON_PLACEHOLDERS)
    for key in sorted(set(labels.keys) - set(definitions)):
        raise CatalogueInvalid(file, key, "key", "is not a key of the catalogue")
    for key, definition in definitions.items():
        if key not in labels.keys:
            raise CatalogueInvalid(file, key, "title", "is missing")
        check_key_labels(file, definition, labels.keys[key])


def check_key_labels(file: str, definition: Definition, labels: KeyLabels) -> None:
    """The labels of one key against its definition. Raises CatalogueInvalid."""
    key = definition.key
    choices = frozenset(choice for _, choice in values.choices(definition.kind))
    fields = frozenset(field_names(definition.kind))
    _same(file, key, "choices", labels.choices, choices)
    _same(file, key, "fields", labels.fields, fields)
    acts = Showing.ACTION in definition.surfaces.values()
    if acts != bool(labels.actions):
        raise CatalogueInvalid(file, key, "actions", "is missing" if acts else "no surface shows an action of this key")
    if acts and WHOLE not in labels.actions:
        raise CatalogueInvalid(file, key, f"actions.{WHOLE}", "is missing")
    refused = {f"{REFUSED}{choice}" for choice in choices}
    known = choices | refused | fields | {WHOLE, EACH, "true", "false"} | {f"{WHOLE}{surface}" for surface in SURFACES}
    for name, text in labels.actions.items():
        if name not in known:
            raise CatalogueInvalid(file, key, f"actions.{name}", "is no choice, field or surface of this key")
        _placeholders(file, key, f"actions.{name}", text, fields | {"items", "value"})


def field_names(kind: values.Kind) -> Iterator[str]:
    """Names of all fields inside a kind."""
    if isinstance(kind, values.Object):
        for name, part in kind.fields.items():
            yield name
            yield from field_names(part)
    elif isinstance(kind, values.Sequence):
        yield from field_names(kind.items)


def _same(file: str, key: str, section: str, given: Mapping[str, str], wanted: frozenset[str]) -> None:
    for missing in sorted(wanted - set(given)):
        raise CatalogueInvalid(file, key, f"{section}.{missing}", "is missing")
    for unknown in sorted(set(given) - wanted):
        raise CatalogueInvalid(file, key, f"{section}.{unknown}", "labels nothing")


def _placeholders(file: str, key: str, field: str, text: str, known: frozenset[str]) -> None:
    for name in PLACEHOLDER.findall(text):
        if name not in known:
            raise CatalogueInvalid(file, key, field, f"{{{name}}} is not a placeholder known here")


def _texts(file: str, key: str, section: str, raw: Any) -> dict[str, str]:
    if not isinstance(raw, Mapping):
        raise CatalogueInvalid(file, key, section, "must be a table")
    for name, text in raw.items():
        if not isinstance(text, str) or not text.strip():
            raise CatalogueInvalid(file, key, f"{section}.{name}", "must be a text")
    return dict(raw)
