"""`guestprefs catalogue`: definition files are checked before anybody puts them, and put with a plan when they
are in use."""

import asyncio
import json
import shutil
import tempfile
import tomllib
from importlib.resources import as_file
from pathlib import Path
from typing import Any

from api.cli.console import CommandFault
from api.cli.first_start import refuse_unfit
from api.cli.seeding import OPERATOR
from prefs.bootstrap import catalogue_in, open_house, standard_catalogue, standard_folder
from prefs.core.catalogue import Catalogue
from prefs.core.errors import CatalogueInUse
from prefs.settings import Settings


def check(path: Path | None) -> str:
    if path is None:
        return _counted("The standard catalogue", standard_catalogue())
    if path.is_dir():
        return _counted(str(path), catalogue_in(path))
    if not path.is_file():
        raise CommandFault(f"There is no file or folder {path}.")
    return _counted(str(path), _with_the_rest(path))


def _with_the_rest(path: Path) -> Catalogue:
    """One file checked beside the standard ones, since definitions may point at each other; a file of the same name is
    replaced by it. Labels stay out: those of a new key come later."""
    with tempfile.TemporaryDirectory() as folder, as_file(standard_folder()) as standard:
        beside = Path(folder)
        for source in standard.glob("*.toml"):
            shutil.copy(source, beside / source.name)
        shutil.copy(path, beside / path.name)
        return catalogue_in(beside)


def _counted(what: str, catalogue: Catalogue) -> str:
    return f"{what} is in order: {len(catalogue)} definitions, {len(catalogue.labels)} languages."


def apply(settings: Settings, path: Path, *, plan: bool, migrate: bool) -> str:
    """Put one extension. Raises CatalogueInUse with counts where stored entries stand against it."""
    body = _read(path)
    key = body.pop("key", None)
    if not isinstance(key, str):
        raise CommandFault(f"{path} must name its key: a member 'key' such as \"spa.music\".")
    refuse_unfit(settings)
    try:
        return json.dumps(asyncio.run(_put(settings, key, body, plan, migrate)), indent=2, ensure_ascii=False)
    except CatalogueInUse as in_use:
        raise CommandFault(f"{in_use} See what would happen with --plan, then do it with --migrate.") from in_use


async def _put(settings: Settings, key: str, body: dict[str, Any], plan: bool, migrate: bool) -> Any:
    house = await open_house(settings)
    try:
        answer = await house.definitions.put(OPERATOR, key, body, plan=plan, migrate=migrate)
        return answer.body
    finally:
        await house.close()


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        body = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except OSError as error:
        raise CommandFault(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CommandFault(f"{path} is not {'TOML' if path.suffix == '.toml' else 'JSON'}: {error}.") from error
    if not isinstance(body, dict):
        raise CommandFault(f"{path} must hold one object.")
    return body
