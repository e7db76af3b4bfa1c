"""The settings as a command sees them: what its own options say stands above the environment and `.env`."""

import os
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from api.cli.console import CommandFault
from prefs.settings import PREFIX, Settings


def read_settings(**options: Any) -> Settings:
    """Settings with these options on top; None leaves a field to the environment."""
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as invalid:
        raise CommandFault("; ".join(faults(invalid))) from invalid


def faults(invalid: ValidationError) -> Iterator[str]:
    """One sentence a wrong setting, by the name of its variable. The value stays unsaid: it may hold a password."""
    names = {name: variable for variable, name in _names().items()}
    for fault in invalid.errors():
        where = str(fault["loc"][0]) if fault["loc"] else "settings"
        yield f"{names.get(where, where)} is wrong: {fault['msg'][:1].lower()}{fault['msg'][1:]}"


def unknown_variables() -> list[str]:
    """Variables that look like ours and are not: most likely misspelled."""
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in Settings.variables())


def _names() -> dict[str, str]:
    return dict(zip(Settings.variables(), Settings.model_fields, strict=True))
