"""What people read: titles, help, choices, actions and reasons of the catalogue in one language each.

Every label carries a review mark: `source` for the language it was written in, `machine` until a speaker of the
language has reviewed it, then `reviewed`. Languages are matched by RFC 4647 Lookup against `Accept-Language`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

FALLBACK_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class KeyLabels:
    """Labels of one key. `choices` and `fields` are by id; `actions` too, with `_` for the sentence as a whole.

    `separator` stands between the elements of a list, as the language writes one.
    """

    title: str
    help: str
    choices: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    actions: Mapping[str, str] = field(default_factory=dict)
    review: str = "machine"
    separator: str = ", "


@dataclass(frozen=True, slots=True)
class Labels:
    """All labels of one language; `direction` is ltr or rtl."""

    language: str
    name: str = ""
    direction: str = "ltr"
    areas: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, KeyLabels] = field(default_factory=dict)
    strengths: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)

    def with_keys(self, more: "Labels") -> "Labels":
        return replace(self, keys={**self.keys, **more.keys}, areas={**self.areas, **more.areas})


def ranges(accept_language: str) -> list[str]:
    """Language ranges of an Accept-Language header, best first; a broken element is ignored, as RFC 9110 allows."""
    weighted: list[tuple[float, int, str]] = []
    for position, element in enumerate(accept_language.split(",")[:20]):
        tag, _, parameter = element.strip().partition(";")
        quality = 1.0
        if parameter:
            name, _, number = parameter.strip().partition("=")
            try:
                quality = float(number) if name.strip() == "q" else 0.0
            except ValueError:
                quality = 0.0
        if tag and quality > 0:
            weighted.append((-quality, position, tag.strip()))
    return [tag for _, _, tag in sorted(weighted)]


def lookup(wanted: Sequence[str], available: Sequence[str]) -> str | None:
    """RFC 4647 section 3.4: each range in turn, shortened from the right; None when nothing matches."""
    by_lower = {tag.lower(): tag for tag in available}
    for language_range in wanted:
        parts = language_range.lower().split("-")
        while parts:
            found = by_lower.get("-".join(parts))
            if found:
                return found
            parts.pop()
            if parts and len(parts[-1]) == 1:
                parts.pop()
    return None


def lookup_extended(wanted: Sequence[str], available: Sequence[str]) -> str | None:
    """Lookup, with one step more per range: the same primary language in another region (resolving rule 29)."""
    for language_range in wanted:
        found = lookup([language_range], available)
        if found:
            return found
        primary = language_range.lower().split("-")[0]
        for tag in available:
            if tag.lower().split("-")[0] == primary:
                return tag
    return None
