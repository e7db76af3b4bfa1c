"""What `serve --demo` hands to whoever wants to try the service: seeded guests, ready tokens, and a file that
names both."""

import asyncio
import json
import os
import shlex
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from api.cli import console
from api.cli.credentials import Bearer, sign, signing_key
from api.cli.demo_hotels import DALLAS
from api.cli.seeding import seed
from prefs.bootstrap import open_house
from prefs.core.callers import ALL_GUESTS, Role
from prefs.core.catalogue import DEVICE_SURFACES, STAFF_SURFACES
from prefs.settings import Settings

FILE = "demo.json"
SHELL_FILE = "demo.env"  # the same for a shell: `. data/demo.env`
LASTS = timedelta(hours=12)
PROPERTY = DALLAS  # where the first demo guest is in house


@dataclass(frozen=True, slots=True)
class Demo:
    base_url: str
    property: str
    guests: list[str]
    tokens: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "property": self.property,
            "guests": self.guests,
            "tokens": self.tokens,
        }

    def as_shell(self) -> str:
        """Variables to read into a shell, so that a first curl needs nothing to be copied."""
        named = {"BASE_URL": self.base_url, "PROPERTY": self.property, "GUEST": self.guests[0]}
        named |= {f"{name.replace(' ', '_').upper()}_TOKEN": token for name, token in _flat(self.tokens)}
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in named.items())


def prepare_demo(settings: Settings, base_url: str, count: int) -> Demo:
    """Seed, mint tokens, and write the file before anybody can reach the server."""
    guests = seed_with_progress(settings, count)
    demo = Demo(base_url=base_url, property=PROPERTY, guests=guests, tokens=_tokens(settings, guests[0]))
    write_privately(settings.data / FILE, json.dumps(demo.as_json(), indent=2) + "\n")
    write_privately(settings.data / SHELL_FILE, demo.as_shell())
    return demo


def seed_with_progress(settings: Settings, count: int) -> list[str]:
    async def work() -> list[str]:
        house = await open_house(settings)
        try:
            with console.progress() as bar:
                task = bar.add_task("Demo guests", total=count)
                return await seed(house, count, lambda done: bar.update(task, completed=done))
        finally:
            await house.close()

    return asyncio.run(work())


def _tokens(settings: Settings, guest: str) -> dict[str, Any]:
    key = signing_key(settings.keys)

    def token(role: Role, surface: str, subject: str, permissions: tuple[str, ...] = (), at_home: bool = True) -> str:
        bearer = Bearer(role, surface, subject, (PROPERTY,) if at_home else (), permissions=permissions)
        return sign(key, settings, bearer, LASTS)

    return {
        "guest": token(Role.GUEST, "guest_app", guest, at_home=False),
        "staff": {surface: token(Role.STAFF, surface, f"demo-{surface}") for surface in STAFF_SURFACES},
        "device": {
            surface: token(Role.DEVICE, surface, f"demo-{surface}") for surface in DEVICE_SURFACES if surface != "kiosk"
        },
        "kiosk": token(Role.DEVICE, "kiosk", "demo-kiosk"),
        "service": token(Role.SERVICE, "guest_app", "demo-service", (ALL_GUESTS,), at_home=False),
        "operator": token(Role.OPERATOR, "front_desk", "demo-operator", (ALL_GUESTS,), at_home=False),
    }


def write_privately(path: Path, text: str) -> None:
    """Whole or not at all, and readable by the owner alone: it holds tokens."""
    draft = path.with_name(path.name + ".part")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def show(demo: Demo, folder: Path) -> None:
    """Each token on a line of its own, however long: one that is folded into a table cannot be copied."""
    console.say(f"{len(demo.guests)} demo guests; the first, {demo.guests[0]}, is in house at {demo.property}.")
    console.say(f"Tokens for 12 hours, also in {folder / FILE}; for a shell: . {folder / SHELL_FILE}")
    for name, token in _flat(demo.tokens):
        console.out.print(f"  {name}: ", end="", markup=False, style="bold" if console.out.is_terminal else None)
        console.say(token)


def _flat(tokens: dict[str, Any]) -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for name, held in tokens.items():
        if isinstance(held, dict):
            before = "" if name == "device" else f"{name} "
            flat.extend((before + surface, token) for surface, token in held.items())
        else:
            flat.append((name, held))
    return flat
