"""What the users know: the demo's guests, tokens and property, as `guestprefs serve --demo` wrote them down."""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

VARIABLE = "DEMO_FILE"


@cache
def demo() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(os.environ.get(VARIABLE, "data/demo.json")).read_text(encoding="utf-8"))
    return found


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def guests_in_sight() -> list[str]:
    """Guests that the staff and devices of the demo's property have a reason to see; found by asking once."""
    return list(demo()["in_sight"])
