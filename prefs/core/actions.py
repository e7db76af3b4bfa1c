"""What staff are to do, in words, without why: "Feather-free pillows ×2 – must", never "allergy".

A key's action labels give the sentence: `_` is the whole with {items} for its elements (`_SURFACE` instead of it on
that surface); an element speaks by the text of its own id, else by `each`, else by its choice label; a refused one by
`not_` and its id, else by its choice label. A {field} is filled by the action of that name where there is one, else by
the value; one that is absent or false leaves nothing.
"""

from typing import Any

from prefs.core.catalogue import Definition
from prefs.core.entries import Strength
from prefs.core.labels import KeyLabels, Labels
from prefs.core.resolved import Effective, Status
from prefs.core.sentences import fill, labels_of, say
from prefs.core.values import Flag, Kind, Object, Sequence

WHOLE = "_"
EACH = "each"
REFUSED = "not_"


def action(definition: Definition, effective: Effective, surface: str, labels: Labels) -> dict[str, Any]:
    """One key as a task: the text, its elements where it has several, strength and status; never value or reason."""
    words = labels_of(labels, definition.key)
    elements = _elements(definition, effective.value, words)
    texts: list[str] = []
    if effective.value is not None:
        texts.append(_emphasised(_whole(definition, effective.value, elements, surface, words), effective, labels))
    elif effective.status is Status.NO_PREFERENCE:
        texts.append(labels.strengths.get(Strength.NO_PREFERENCE, ""))
    for negative in effective.nots:
        text = words.actions.get(f"{REFUSED}{negative.value}") or (
            f"{words.choices.get(negative.value, negative.value)} – {labels.strengths.get(negative.strength, '')}"
        )
        texts.append(text)
        elements.append({"text": text, "strength": negative.strength.value})
    told = "; ".join(text for text in texts if text)
    # Title case, since upper case would turn a Georgian letter into one that is only for inscriptions.
    answer: dict[str, Any] = {"action": told[:1].title() + told[1:] if told else None}
    if effective.strength is not None:
        answer["strength"] = effective.strength.value
    answer["status"] = effective.status.value
    if elements:
        answer["elements"] = elements
    return answer


def _emphasised(text: str, effective: Effective, labels: Labels) -> str:
    """A need says so; what is fixed as a need for everybody says it by its own words."""
    must = labels.strengths.get(Strength.REQUIRED, "")
    return f"{text} – {must}" if text and must and effective.strength is Strength.REQUIRED else text


def _elements(definition: Definition, value: Any, words: KeyLabels) -> list[dict[str, Any]]:
    kind = definition.kind
    if value is None or not isinstance(kind, Sequence):
        return []
    elements = []
    for item in value:
        element: dict[str, Any] = {"text": _spoken(kind.items, item, kind.element_id(item), words)}
        if isinstance(item, dict) and isinstance(item.get("count"), int):
            element["count"] = item["count"]
        elements.append(element)
    return elements


def _spoken(kind: Kind, item: Any, one: str, words: KeyLabels) -> str:
    template = words.actions.get(one) or words.actions.get(EACH)
    if template is None:
        return words.choices.get(one, one)
    return _filled(template, kind, item, words)


def _whole(definition: Definition, value: Any, elements: list[dict[str, Any]], surface: str, words: KeyLabels) -> str:
    template = words.actions.get(f"{WHOLE}{surface}") or words.actions.get(WHOLE) or "{items}"
    kind = definition.kind
    if isinstance(kind, Object):
        return "" if _denied(kind, value) else _filled(template, kind, value, words)
    if elements:
        spoken = words.separator.join(str(element["text"]) for element in elements)
    elif isinstance(kind, Sequence):
        return ""
    else:
        one = str(value).lower() if isinstance(value, bool) else str(value)
        spoken = words.actions.get(one) or say(kind, value, words, units=False)
    return fill(template, lambda name: spoken if name in ("items", "value") else "")


def _denied(kind: Object, value: Any) -> bool:
    """Whether an object says of itself that there is nothing to do: a flag it must have is false."""
    musts = (name for name, part in kind.fields.items() if isinstance(part, Flag) and name not in kind.optional)
    return any(value.get(name) is False for name in musts)


def _filled(template: str, kind: Kind, item: Any, words: KeyLabels, inside: str = "") -> str:
    """A template over the fields of one object; `inside` names the field whose own action is being filled."""

    def look_up(name: str) -> str:
        part = kind.fields.get(name) if isinstance(kind, Object) else None
        if part is None:
            return say(kind, item, words, units=False)
        value = item.get(name)
        if value is None or value is False or value == []:
            return ""
        own = words.actions.get(name)
        if own is not None and name != inside:
            return _filled(own, kind, item, words, inside=name)
        return say(part, value, words, units=False)

    return fill(template, look_up)
