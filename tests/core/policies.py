"""Asks the Cedar policies of access.cedar, which say the rules of access once more and know nothing of the product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cedarpy import Decision, PolicySet, is_authorized_batch

from prefs.core.sights import Standing

POLICIES = Path(__file__).with_name("access.cedar").read_text(encoding="utf-8")
AT_ONCE = 20_000

type Question = tuple[str, str, str, Mapping[str, Any]]  # who, action, resource, context

ANYWHERE: dict[str, Any] = {
    "asking": False,
    "relation": "none",
    "permissions": [],
    "surface": "",
    "purpose": "",
    "data": "P0",
    "consented": False,
    "listed": "unlisted",
    "scope": "",
    "says": "",
    "provenance": "",
}
GROUPS = {"guest": "guests", "link": "guests", "device": "house", "staff": "house", "service": "systems"}
ENTITIES = [
    {"uid": {"type": "Who", "id": who}, "attrs": {}, "parents": [{"type": "Who", "id": GROUPS.get(who, "systems")}]}
    for who in map(str, Standing)
]


def verdicts(questions: Sequence[Question]) -> list[bool]:
    """What the policies say to each."""
    policies = PolicySet.from_str(POLICIES)
    requests = [
        {
            "principal": f'Who::"{who}"',
            "action": f'Action::"{action}"',
            "resource": resource or 'Thing::"any"',
            "context": {**ANYWHERE, **context},
        }
        for who, action, resource, context in questions
    ]
    found: list[bool] = []
    for begin in range(0, len(requests), AT_ONCE):
        for result in is_authorized_batch(requests[begin : begin + AT_ONCE], policies, ENTITIES):
            assert not result.diagnostics.errors, result.diagnostics.errors
            found.append(result.decision is Decision.Allow)
    return found
