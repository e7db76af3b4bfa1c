"""The Chromium of this machine, for tests of what a browser does; without one they are skipped, and say so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

_ARGUMENTS = ["--no-sandbox"]
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def program() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium on this machine (on Debian: apt-get install chromium-headless-shell)")
    return found


@contextmanager
def chromium() -> Iterator[Browser]:
    found = program()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_ARGUMENTS)
        yield browser
        browser.close()


@contextmanager
def profile(browser: Browser, folder: Path) -> Iterator[BrowserContext]:
    """A browser of its own that keeps what it keeps in this folder; `browser` says which one and drives it."""
    context = browser.browser_type.launch_persistent_context(folder, executable_path=program(), args=_ARGUMENTS)
    yield context
    context.close()
