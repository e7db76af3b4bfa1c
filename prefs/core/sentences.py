"""Values and reasons as people read them: numbers with their unit, choices by their label, sentences filled in.

Templates are filled by looking names up, never with `str.format`: what a guest typed is data and stays data.
"""

import re
from collections.abc import Callable
from typing import Any

from prefs.core.catalogue import Definition
from prefs.core.entries import Entered
from prefs.core.labels import KeyLabels, Labels
from prefs.core.resolved import Effective, Reason
from prefs.core.values import Flag, Kind, Object, Quantity, Sequence, quantities

SYMBOLS = {"Cel": "°C", "[degF]": "°F", "[in_i]": "in"}
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
UNLABELLED = KeyLabels("", "")


def labels_of(labels: Labels, key: str) -> KeyLabels:
    return labels.keys.get(key, UNLABELLED)


def fill(template: str, look_up: Callable[[str], str]) -> str:
    return PLACEHOLDER.sub(lambda match: look_up(match[1]), template)


def number(kind: Quantity, value: int) -> str:
    """A canonical quantity without its unit: 18.0, 22.22, 40."""
    exact = kind.exact(value)
    if kind.resolution >= 1:
        return str(int(exact))
    text = f"{float(exact):.2f}"
    return text[:-1] if text.endswith("0") else text


def measured(text: str, unit: str) -> str:
    return f"{text} {SYMBOLS.get(unit, unit)}"


def say(kind: Kind, value: Any, words: KeyLabels, units: bool = True) -> str:
    """A canonical value in words; `units` False leaves a quantity bare, for sentences that name the unit themselves."""
    if value is None:
        return ""
    if isinstance(kind, Quantity):
        bare = number(kind, value)
        return measured(bare, kind.unit) if units else bare
    if isinstance(kind, Flag):
        return words.choices.get(str(value).lower(), "✓" if value else "✗")
    if isinstance(kind, Sequence):
        return words.separator.join(_item(kind, item, words) for item in value)
    if isinstance(kind, Object):
        shown = (say(part, value[name], words, units) for name, part in kind.fields.items() if name in value)
        return " · ".join(text for text in shown if text)
    return words.choices.get(str(value), str(value))


def _item(kind: Sequence, item: Any, words: KeyLabels) -> str:
    if not (isinstance(item, dict) and kind.id_field):
        return say(kind.items, item, words)
    name = str(item.get("call_sign") or words.choices.get(str(item[kind.id_field]), item[kind.id_field]))
    return f"{name} ×{item['count']}" if "count" in item else name


def typed(entered: Entered) -> str:
    """What the guest typed, digit for digit, with the unit they used."""
    value = entered.value
    if isinstance(value, dict):
        return " · ".join(measured(str(part), entered.unit) for part in value.values())
    return measured(str(value), entered.unit)


def sentence(definition: Definition, effective: Effective, labels: Labels) -> str:
    """Why the value is what it is, in one sentence; empty where the language has none for the code."""
    reason = effective.reason
    if reason is None:
        return ""
    words = labels_of(labels, definition.key)

    def look_up(name: str) -> str:
        match name:
            case "value":
                return say(definition.kind, _came_instead(effective.value, reason), words)
            case "requested":
                lacking = isinstance(reason.missing, list) and reason.missing
                return (_items if lacking else _requested)(definition, effective, reason, words)
            case "limit":
                size = next(quantities(definition.kind), None)
                return "" if reason.limit is None else say(size or definition.kind, reason.limit, words)
            case "policy":
                return reason.policy_name or reason.policy
            case "items":
                return _items(definition, effective, reason, words)
        return ""

    return fill(labels.reasons.get(reason.code, ""), look_up)


def _came_instead(value: Any, reason: Reason) -> Any:
    """Of a list only what stands in for what is missing; the rest was never in question."""
    if not (isinstance(value, list) and isinstance(reason.missing, list) and isinstance(reason.requested, list)):
        return value
    return [item for item in value if item not in reason.requested] or value


def _requested(definition: Definition, effective: Effective, reason: Reason, words: KeyLabels) -> str:
    entered = reason.entered or effective.entered
    if entered is not None and any(quantities(definition.kind)):
        return typed(entered)
    return say(definition.kind, effective.value if reason.requested is None else reason.requested, words)


def _items(definition: Definition, effective: Effective, reason: Reason, words: KeyLabels) -> str:
    if isinstance(reason.missing, list):
        return words.separator.join(words.choices.get(one, one) for one in reason.missing)
    return _requested(definition, effective, reason, words)
