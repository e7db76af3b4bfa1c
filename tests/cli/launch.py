"""`python -m tests.cli.launch APPLICATION --host ... --port ...`: `guestprefs serve`, of an application with a planted
fault in place of the product's."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from api.cli import running
from api.cli.configuration import read_settings


def launching(application: str, *options: str) -> tuple[str, ...]:
    """The words that start a server of `module:factory`, to be followed by those of `serve`."""
    return (sys.executable, "-m", "tests.cli.launch", application, *options)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("application")
    parser.add_argument("--demo-guests", type=int, default=0)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--workers", type=int)
    given = vars(parser.parse_args())
    application, demo_guests = given.pop("application"), given.pop("demo_guests")
    return running.run(read_settings(**given), demo_guests, application)


if __name__ == "__main__":
    sys.exit(main())
