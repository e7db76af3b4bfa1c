"""What a surface may see of what was resolved, as JSON data: the value, or only the action and never the reason.

Each definition names its surfaces and how each of them is shown the key. A surface that drives a device also gets the
device's own number; empty members are left out, but for `value` and `layer`, whose null means something.
"""

from collections.abc import Mapping
from typing import Any

from prefs.core import sentences
from prefs.core.actions import action
from prefs.core.catalogue import PURPOSES, Catalogue, Definition
from prefs.core.entries import Entered
from prefs.core.labels import Labels
from prefs.core.resolved import Effective, Loser, Reason, Resolved
from prefs.core.sights import Shown, Sight
from prefs.core.values import Kind, Quantity, quantities, unit_of

DRIVING_SURFACES = frozenset({"thermostat", "lights", "tv"})


def render(
    catalogue: Catalogue, resolved: Resolved, sight: Sight, labels: Labels, explain: bool = False
) -> dict[str, dict[str, Any]]:
    """Every key of an answer as its surface may see it, in the order of the answer."""
    rendered = {}
    for key, effective in resolved.effective.items():
        definition = catalogue.get(key)
        shown = sight.applied(definition, effective.special, PURPOSES) if definition is not None else Shown.NOTHING
        if definition is not None and shown is not Shown.NOTHING:
            rendered[key] = project(definition, effective, shown, sight.surface, labels, explain)
    return rendered


def project(
    definition: Definition,
    effective: Effective,
    shown_as: Shown,
    surface: str,
    labels: Labels,
    explain: bool = False,
) -> dict[str, Any]:
    """One key as one surface may see it: what to do about it, or the value with all that belongs to it."""
    if shown_as is Shown.ACTION:
        return action(definition, effective, surface, labels)
    kind = definition.kind
    shown: dict[str, Any] = {"value": show(kind, effective.value)}
    unit = unit_of(kind)
    if unit and effective.value is not None:
        shown["unit"] = unit
    if effective.entered is not None and unit:
        shown["entered"] = entered(effective.entered)
    if effective.strength is not None:
        shown["strength"] = effective.strength.value
    shown["status"] = effective.status.value
    shown["layer"] = effective.layer
    if effective.reason is not None:
        shown["reason"] = _reason(definition, effective, effective.reason, labels)
    if effective.nots:
        shown["not"] = [{"value": n.value, "strength": n.strength.value, "layer": n.layer} for n in effective.nots]
    if effective.device_value is not None and surface in DRIVING_SURFACES:
        shown["device_value"] = effective.device_value
    if explain and effective.losers:
        shown["considered"] = [_considered(kind, loser, labels) for loser in effective.losers]
    return shown


def show(kind: Kind, value: Any) -> Any:
    """A canonical value as JSON; null stays null."""
    return None if value is None else kind.show(value)


def entered(typed: Entered) -> dict[str, Any]:
    return {"value": typed.value, "unit": typed.unit}


def _reason(definition: Definition, effective: Effective, reason: Reason, labels: Labels) -> dict[str, Any]:
    kind = definition.kind
    told: dict[str, Any] = {"code": reason.code}
    if reason.requested is not None:
        told["requested"] = show(kind, reason.requested)
    if reason.entered is not None and unit_of(kind):
        told["entered"] = entered(reason.entered)
    if reason.policy:
        told["policy"] = reason.policy
    if reason.missing is not None:
        told["missing"] = _missing(kind, reason.missing)
    if reason.steps:
        told["steps"] = [
            {"code": step.code, "from": show(kind, step.before), "to": show(kind, step.after)} for step in reason.steps
        ]
    text = sentences.sentence(definition, effective, labels)
    if text:
        told["text"] = text
    return told


def _missing(kind: Kind, missing: Any) -> Any:
    size: Quantity | None = next(quantities(kind), None)
    return size.show(missing) if size is not None and isinstance(missing, int) else missing


def _considered(kind: Kind, loser: Loser, labels: Labels) -> dict[str, Any]:
    told: dict[str, Any] = {"entry": loser.entry} if loser.entry else {}
    told |= {"layer": loser.layer, "value": show(kind, loser.value), "strength": loser.strength.value}
    context: Mapping[str, str] = loser.context.named()
    if context:
        told["context"] = dict(context)
    told["code"] = loser.code
    text = sentences.fill(labels.reasons.get(loser.code, ""), lambda name: _of_loser(name, told["value"]))
    return told | {"text": text} if text else told


def _of_loser(name: str, value: Any) -> str:
    return str(value) if name in ("requested", "value") else ""


def display_name(name: str, shown: str | None, addressed_as: str = "") -> str | None:
    """What a screen may show of a guest's name under `privacy.name_display`; None where it may show nothing."""
    first = name.split()[0] if name.split() else ""
    match shown:
        case "full":
            return name or None
        case "alias":
            return addressed_as or first or None
        case "none":
            return None
    return first or None
