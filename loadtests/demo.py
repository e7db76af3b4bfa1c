"""The demo server's hand-over file, as the load users need it: where it is, who stays there, which tokens to use."""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

DEMO_VARIABLE = "LOADTEST_DEMO"  # path of the demo.json that `guestprefs serve --demo` wrote


@dataclass(frozen=True, slots=True)
class Demo:
    base_url: str
    property: str
    guests: tuple[str, ...]
    tokens: dict[str, Any]
    guest_tokens: dict[str, str]


@cache
def demo() -> Demo:
    """Read once per process. Raises KeyError naming LOADTEST_DEMO when the runner did not set it."""
    path = Path(os.environ[DEMO_VARIABLE])
    data = json.loads(path.read_text(encoding="utf-8"))
    guests = tuple(data["guests"])
    return Demo(
        data["base_url"],
        data["property"],
        guests,
        data["tokens"],
        data.get("guest_tokens", {guests[0]: data["tokens"]["guest"]}),
    )


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
