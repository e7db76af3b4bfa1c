"""`guestprefs vault`: what an operator does with the keys of what rests sealed, beside a running service."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli import console
from api.cli.configuration import read_settings
from api.cli.console import CommandFault, say
from prefs.bootstrap import Custody, FileProvider, SystemClock, lacks_wrapping_keys, open_sql, wrapping_keys
from prefs.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Keep what rests sealed in order: state, rotation, sealing old rows.")

DataOption = Annotated[
    Path | None, typer.Option(help="Folder for database, keys and demo.json. (default: GUESTPREFS_DATA or ./data)")
]


@app.command()
def status(data: DataOption = None) -> None:
    """Say which wrapping keys there are and how many data keys each of them wraps."""
    say(described(read_settings(data=data)))


@app.command()
def add_key(data: DataOption = None) -> None:
    """Put a new wrapping key in front of the key file. Copy the file to every machine, then rotate."""
    settings = read_settings(data=data)
    added = _file(settings).add()
    say(f"Added {added.id} to {settings.vault_file}. It wraps from now on; then run: guestprefs vault rotate")


@app.command()
def rotate(
    new_key: Annotated[
        bool, typer.Option("--new-key/--no-new-key", help="Add a new wrapping key to the key file first.")
    ] = True,
    data: DataOption = None,
) -> None:
    """Wrap every data key under the newest wrapping key, while the service runs.

    Broken off, it goes on where it was when it is started again: no further key is added before that one wraps all.
    Keys from a variable or a command are added there, in front, and then --no-new-key is meant.
    """
    settings = read_settings(data=data)
    state = _with(settings, Custody.wrapped)
    provider = wrapping_keys(settings)
    begun = len(state) > 1 or provider.load()[0].id not in state
    if new_key and not begun and isinstance(provider, FileProvider):
        say(f"Added {provider.add().id} to {settings.vault_file}.")
    _with(settings, _rewrap_all)
    gone = _with(settings, Custody.retire)
    left = _with(settings, Custody.wrapped)
    newest, *older = left
    if older:
        raise CommandFault(
            f"{', '.join(older)} wraps data keys again, made by a process that had not heard of {newest}. Run it again."
        )
    say(f"{newest} wraps all {left[newest]} data keys.")
    old = sorted({key.id for key in provider.load()} - {newest})
    if gone or old:
        say(
            f"Nothing here needs {', '.join(sorted({*gone, *old}))} any more; backups of the database from before do. "
            "When those are gone, run: guestprefs vault drop-keys"
        )


@app.command()
def drop_keys(data: DataOption = None) -> None:
    """Remove wrapping keys from the key file that the database does not need; the newest stays in any case."""
    settings = read_settings(data=data)
    provider = _file(settings)
    used = _with(settings, Custody.wrapped)
    newest, *older = (key.id for key in provider.load())
    unused = [id for id in older if id not in used]
    if not unused:
        say(f"Every wrapping key in {settings.vault_file} is in use.")
        return
    provider.remove(unused)
    say(f"Removed {', '.join(unused)} from {settings.vault_file}; {newest} stays.")


@app.command()
def seal(data: DataOption = None) -> None:
    """Seal what an older release left open: entries, history, answers to repeats. May be broken off and begun again."""
    settings = read_settings(data=data)
    if not settings.sealing:
        raise CommandFault("GUESTPREFS_SEALING is off: turn it on first, for every process.")
    guests, rows = _with(settings, _seal_all)
    if not rows:
        say("Nothing rests open.")
        return
    say(f"Sealed {rows} rows of {guests} guests.")
    say(_FREED[settings.on_sqlite])


_FREED = {
    True: "The file was rewritten, so that nothing of it is left in free pages.",
    False: "What was replaced leaves the disk with: VACUUM FULL entry, change, live, idempotency",
}


async def _rewrap_all(custody: Custody) -> None:
    left = sum(list((await custody.wrapped()).values())[1:])
    with console.progress() as bar:
        task = bar.add_task("Wrapping data keys", total=left)
        while done := await custody.rewrap_some():
            bar.advance(task, done)


async def _seal_all(custody: Custody) -> tuple[int, int]:
    guests = rows = 0
    with console.progress() as bar:
        task = bar.add_task("Looking through guests", total=None)
        step = await custody.seal_some()
        while step.seen:
            guests, rows = guests + step.guests, rows + step.rows
            bar.advance(task, step.seen)
            step = await custody.seal_some(step.after)
    if rows:
        await custody.scrub()
    return guests, rows


# ---------------------------------------------------------------- for other commands


def make_file(settings: Settings) -> bool:
    """A key file where the setting says and there is none."""
    provider = wrapping_keys(settings)
    if not isinstance(provider, FileProvider) or provider.path.exists():
        return False
    made = provider.make()
    if made:
        say(f"Made a wrapping key in {settings.vault_file} (readable by you alone). Keep a copy of it elsewhere.")
    return made


def is_there(settings: Settings) -> bool:
    """Whether there are wrapping keys; raises Sealed when there are none and something is sealed. Makes nothing."""
    return not asyncio.run(lacks_wrapping_keys(settings))


def described(settings: Settings) -> str:
    """In a sentence, which key wraps how many data keys. Raises Sealed for keys that are missing or wrong."""
    provider = wrapping_keys(settings)
    wrapped = _with(settings, Custody.wrapped)
    newest = provider.load()[0].id
    older = {id: many for id, many in wrapped.items() if id != newest}
    told = f"{newest} of {provider.place} wraps {wrapped.get(newest, 0)} data keys"
    if not older:
        return f"{told}, all there are."
    counts = ", ".join(f"{id} {many}" for id, many in older.items())
    return f"{told}; older keys: {counts}. To take them along, run: guestprefs vault rotate"


def _file(settings: Settings) -> FileProvider:
    provider = wrapping_keys(settings)
    if not isinstance(provider, FileProvider):
        raise CommandFault(f"The wrapping keys come from {provider.place}: add or remove them there.")
    return provider


def _with[T](settings: Settings, work: Callable[[Custody], Coroutine[Any, Any, T]]) -> T:
    async def run() -> T:
        store = await open_sql(settings, SystemClock())
        try:
            return await work(store.custody)
        finally:
            await store.close()

    return asyncio.run(run())
