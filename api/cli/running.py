"""`guestprefs serve` from its first check to its exit code."""

from pathlib import Path

from api.cli import supervisor, wiping
from api.cli.console import CommandFault, say
from api.cli.demo import FILE, SHELL_FILE, Demo, prepare_demo, show
from api.cli.first_start import prepare
from prefs import telemetry
from prefs.settings import Settings


def run(settings: Settings, demo_guests: int = 0, application: str = supervisor.APPLICATION) -> int:
    telemetry.configure(settings.log_level)
    if settings.wipe_freed:
        wiping.refuse_elsewhere()
    if settings.port == 0:
        settings = settings.model_copy(update={"port": supervisor.free_port(settings.host)})
    elif supervisor.port_is_taken(settings.host, settings.port):
        raise CommandFault(
            f"Port {settings.port} on {settings.host} is taken or may not be used. Stop what uses it, or pass --port."
        )
    for stale in (FILE, SHELL_FILE):
        (settings.data / stale).unlink(missing_ok=True)
    prepare(settings, demo=demo_guests > 0)
    url = supervisor.base_url(settings.host, settings.port)
    demo = prepare_demo(settings, url, demo_guests) if demo_guests else None

    def ready() -> None:
        announce(url, demo, settings.data)

    return supervisor.serve(settings, ready, application)


def announce(url: str, demo: Demo | None, folder: Path) -> None:
    say(f"Serving on {url}")
    say(f"  documentation  {url}/docs")
    say(f"  health         {url}/livez  {url}/readyz  {url}/version  {url}/metrics")
    if demo:
        show(demo, folder)
    say("Stop with Ctrl-C.")
