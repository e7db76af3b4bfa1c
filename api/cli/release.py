"""Which program this is."""

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


def version_number() -> str:
    try:
        return installed("guestprefs")
    except PackageNotFoundError:
        return "0+unknown"


def release() -> str:
    return f"guestprefs {version_number()} on Python {platform.python_version()}"
