"""`guestprefs`: every command in one place, each a few lines that call what does the work.

Exit codes: 0 done; 1 something is wrong, said in one sentence on stderr; 2 the command line itself is wrong.
"""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from api.cli import console, credentials, definitions, demo, doctor, first_start, keeping, ledger, running, vault
from api.cli.configuration import read_settings
from api.cli.console import CommandFault, say
from api.cli.credentials import Bearer, sign, signing_key
from api.cli.first_start import migrate_now, schema_now
from api.cli.release import release
from api.openapi import document
from prefs.bootstrap import SchemaState
from prefs.core.callers import Role
from prefs.core.errors import PrefsError
from prefs.core.revocations import Revocable

app = typer.Typer(
    name="guestprefs",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Serves what hotel guests prefer, resolved for a place, a moment and a surface, and says why.\n\n"
    "Settings come from options, then the environment, then .env; [bold]guestprefs doctor[/bold] shows what is in "
    "force and what is wrong with it.",
    epilog="Exit codes: 0 done; 1 something is wrong, said in one sentence on stderr; 2 the command line is wrong.",
)
catalogue = typer.Typer(no_args_is_help=True, help="Check and apply definitions of preference keys.")
app.add_typer(catalogue, name="catalogue")
accesses = typer.Typer(no_args_is_help=True, help="Who saw special-category data and who administered what.")
app.add_typer(accesses, name="ledger")
tokens = typer.Typer(no_args_is_help=True, help="Take tokens back before their time.")
app.add_typer(tokens, name="tokens")
app.add_typer(vault.app, name="vault")
retention = typer.Typer(no_args_is_help=True, help="Let go of data that was kept long enough.")
app.add_typer(retention, name="retention")
receipts = typer.Typer(no_args_is_help=True, help="Check receipts that guests were given.")
app.add_typer(receipts, name="receipts")

DataOption = Annotated[
    Path | None, typer.Option(help="Folder for database, keys and demo.json. (default: GUESTPREFS_DATA or ./data)")
]


@app.command()
def serve(
    demo_data: Annotated[
        bool, typer.Option("--demo", help="Seed demo hotels and guests, print ready tokens, write them to demo.json.")
    ] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on. (default: 127.0.0.1)")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. (default: 8080)")] = None,
    data: DataOption = None,
    workers: Annotated[int | None, typer.Option(help="Server processes. (default: 1)")] = None,
    guests: Annotated[int, typer.Option(min=1, max=100_000, help="Demo guests to seed with --demo.")] = 24,
) -> None:
    """Serve the API until told to stop.

    The first start makes the data folder, a signing key and, on SQLite, the tables. An older schema is refused.

    SIGTERM drains: /readyz answers 503, and after DRAIN_DELAY seconds the server stops.
    """
    settings = read_settings(host=host, port=port, data=data, workers=workers)
    raise typer.Exit(running.run(settings, demo_guests=guests if demo_data else 0))


@app.command()
def migrate(data: DataOption = None) -> None:
    """Bring the database to the schema of this program, from empty or from an older one."""
    settings = read_settings(data=data)
    where = first_start.shown(settings.database_url)
    if settings.on_sqlite:
        first_start.make_folder(settings.data)
    state = schema_now(settings)
    if state is SchemaState.AHEAD:
        say(f"{where} was migrated by a newer program; nothing to do.")
        return
    if state is SchemaState.OK:
        say(f"{where} is up to date; nothing to do.")
        return
    migrate_now(settings)
    say(f"{where} is up to date now.")


@app.command()
def seed(
    guests: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many.")] = 100,
    data: DataOption = None,
) -> None:
    """Put demo hotels and guests into the database: always the same ones, with names in six languages.

    Doing it again only moves the dates of their stays to today and adds the guests that are missing.
    """
    settings = read_settings(data=data)
    first_start.refuse_unfit(settings)
    ids = demo.seed_with_progress(settings, guests)
    say(f"{len(ids)} demo guests are there; the first is {ids[0]}, in house at {demo.PROPERTY}.")


@app.command()
def token(
    role: Annotated[Role, typer.Option(help="Who calls.")],
    surface: Annotated[str, typer.Option(help="Where the answer is shown: it decides what may be seen.")],
    guest: Annotated[str, typer.Option(help="The guest (gst_...) that a guest's token is for.")] = "",
    subject: Annotated[str, typer.Option(help="Name of any other caller. (default: role-surface)")] = "",
    properties: Annotated[
        list[str] | None, typer.Option("--property", help="Property of a staff or device token; may be repeated.")
    ] = None,
    stay: Annotated[str, typer.Option(help="Narrow a device's or guest's token to one stay.")] = "",
    permissions: Annotated[
        list[str] | None, typer.Option("--permission", help="Such as guests.all, of a service or operator.")
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 366, help="How long it lasts.")] = 1.0,
    data: DataOption = None,
) -> None:
    """Print a bearer token signed with the local key."""
    if role is not Role.GUEST:
        subject = subject or f"{role.value}-{surface}"
    bearer = Bearer(role, surface, guest or subject, tuple(properties or ()), stay, tuple(permissions or ()))
    settings = read_settings(data=data)
    say(sign(signing_key(settings.keys), settings, bearer, timedelta(hours=hours)))


@app.command()
def keys(
    path: Annotated[
        Path | None, typer.Option("--out", help="File to make. (default: the setting GUESTPREFS_KEYS)")
    ] = None,
    data: DataOption = None,
) -> None:
    """Make a key file for signing and verifying tokens, and one with the wrapping key of the vault.

    An existing file is never replaced. With --out only the signing key is made.
    """
    settings = read_settings(data=data)
    target = path or settings.keys
    made = path is None and vault.make_file(settings)
    if made and target.exists():
        return
    first_start.make_keys(target)
    say(f"Made a signing key in {target} (readable by you alone).")


@tokens.command("revoke")
def tokens_revoke(
    kind: Annotated[Revocable, typer.Argument(help="What to take back.")],
    value: Annotated[
        str, typer.Argument(help="The token's jti, the subject (sub), the device (dev_...), or the link (lnk_...).")
    ],
    data: DataOption = None,
) -> None:
    """Refuse a token, all tokens of a subject so far, a device or a stay link, in every process within a minute."""
    say(credentials.revoke(read_settings(data=data), kind, value))


@catalogue.command("check")
def catalogue_check(
    path: Annotated[Path | None, typer.Argument(help="File or folder; nothing: the catalogue that ships.")] = None,
) -> None:
    """Check definition files and labels; the first thing wrong is named by file, key, field and reason."""
    say(definitions.check(path))


@catalogue.command("apply")
def catalogue_apply(
    path: Annotated[Path, typer.Argument(help="Extension file (JSON or TOML): key, area, definition, labels.")],
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would happen to what is stored.")] = False,
    migrate_entries: Annotated[
        bool, typer.Option("--migrate", help="Change stored entries so that they fit the new definition.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Add or replace a definition of the operator's own. Refused with counts when stored entries would not fit."""
    say(definitions.apply(read_settings(data=data), path, plan=plan, migrate=migrate_entries))


@accesses.command("verify")
def ledger_verify(
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(help="Folder with the checkpoints of another machine; may be repeated."),
    ] = None,
    data: DataOption = None,
) -> None:
    """Check that no record was changed, taken away, put in or moved; the first wrong place of each chain is named.

    Needs the ledger's key. May run while the service does.
    """
    ledger.verify(data, checkpoints or ())


@accesses.command("show")
def ledger_show(
    guest: Annotated[str, typer.Option(help="Only records about this guest (gst_...).")] = "",
    since: Annotated[str, typer.Option(help="Only from this day or time on, in UTC.")] = "",
    until: Annotated[str, typer.Option(help="Only up to this day or time, in UTC.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 100,
    data: DataOption = None,
) -> None:
    """Print records, newest first: who, what, where, about whom, which keys; never a value."""
    ledger.show(data, guest, since, until, limit)


@accesses.command("prune")
def ledger_prune(
    older_than: Annotated[int, typer.Option("--older-than", min=1, max=36_500, help="Days.")] = 1096,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")] = False,
    data: DataOption = None,
) -> None:
    """Forget records older than so many days (three years unless said otherwise), on every machine for its own chains.

    Where each chain begins from then on is signed in the second place first, so that the rest still verifies.
    """
    ledger.prune(data, older_than, dry=dry_run)


ProgramsOption = Annotated[
    Path | None, typer.Option("--programs", help="Folder of pg_dump and pg_restore. (default: the PATH)")
]


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="File to make; a manifest with its checksum comes beside it.")],
    programs: ProgramsOption = None,
    data: DataOption = None,
) -> None:
    """Copy the whole database into one file, while servers go on.

    SQLite is copied by its online backup; for PostgreSQL pg_dump makes an archive. Keys are not in it: keep the data
    folder's key files, and the file that remembers erasures, elsewhere.
    """
    keeping.back_up(read_settings(data=data), file, programs)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `guestprefs backup` made.")],
    yes: Annotated[bool, typer.Option("--yes", help="Really replace the database.")] = False,
    programs: ProgramsOption = None,
    data: DataOption = None,
) -> None:
    """Put a backup in the place of the database.

    It is restored beside the database, brought to this program's schema, and whoever was erased since is erased from it
    again; only then it takes the database's place. On PostgreSQL stop the servers first; the user needs CREATEDB.
    """
    keeping.restore(read_settings(data=data), file, programs, sure=yes)


@retention.command("run")
def retention_run(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    after: Annotated[str, typer.Option(help="Begin after this guest, where an earlier run was cut off.")] = "",
    data: DataOption = None,
) -> None:
    """Let go of what was kept long enough, class by class, and say what that was.

    Servers may go on meanwhile. Doing it again changes nothing more: let a scheduler run it every few minutes for the
    presses in rooms, or at least every night (deploy/retention-cronjob.yaml).
    """
    keeping.retain(read_settings(data=data), dry=dry_run, after=after)


@receipts.command("verify")
def receipts_verify(
    file: Annotated[Path, typer.Argument(help="The receipt, as the erasure answered it.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", help="What GET /receipts/keys answered. (default: this deployment's own)")
    ] = None,
    guest: Annotated[str, typer.Option(help="Also check that it is about this guest (gst_...).")] = "",
    data: DataOption = None,
) -> None:
    """Check that a receipt was signed by the service and says what was signed."""
    keeping.verify(read_settings(data=data), file, keys, guest)


@app.command()
def openapi(
    out: Annotated[Path | None, typer.Option(help="File to write; stdout when left out.")] = None,
) -> None:
    """Write the API's description, the same text each time for the same program."""
    text = document()
    if out is None:
        sys.stdout.write(text)
        return
    out.write_text(text, encoding="utf-8")
    say(f"Wrote {out}.")


@app.command("doctor")
def doctor_command(data: DataOption = None) -> None:
    """Say in words what is wrong with settings, keys, database and versions; exit code 1 when something is."""
    raise typer.Exit(doctor.examine(data))


@app.command()
def version() -> None:
    """Print the version of the program and of the Python it runs on."""
    say(release())


def main() -> None:
    """Run a command; a failure is one sentence, never a traceback."""
    try:
        app()
    except (CommandFault, PrefsError) as fault:
        console.complain(str(fault))
        sys.exit(1)
    except BrokenPipeError:  # `guestprefs openapi | head` has seen enough
        sys.stdout = None  # or the interpreter complains once more when it flushes
        sys.exit(1)
    except KeyboardInterrupt:
        console.complain("stopped.")
        sys.exit(130)


if __name__ == "__main__":
    main()
