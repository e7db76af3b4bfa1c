"""The TypeScript SDK in a real browser, on a page of another origin than the service: IndexedDB, tabs that share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from guestprefs_client import GuestPrefs
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route

from tests.browsers import chromium, profile
from tests.clients.place import Place, running

LIGHT, QUIET, WARMTH = "lighting.brightness", "room.quiet", "climate.temperature.occupied"

OPENED = """async ([url, token, sealed]) => {
  const { AesSeal, GuestPrefs, IndexedDBStore, SealedStore } = await import("/index.js");
  const file = new IndexedDBStore();
  const store = sealed ? new SealedStore(file, AesSeal.kept()) : file;
  window.client = new GuestPrefs(url, { token, outbox: true, store, retries: { tries: 1 } });
}"""
GOT = """async (guest) => {
  const { meta, ...known } = await client.get(guest);
  return { ...known, fromCache: meta.fromCache, stale: meta.stale, pending: [...meta.pendingKeys] };
}"""
RECORDS = """() => new Promise((resolve, reject) => {
  const opened = indexedDB.open("guestprefs");
  opened.onerror = reject;
  opened.onsuccess = () => {
    const all = opened.result.transaction("records").objectStore("records").getAll();
    all.onsuccess = () => { opened.result.close(); resolve(JSON.stringify(all.result)); };
  };
})"""
FOLLOWED = """(guest) => {
  window.seen = [];
  (async () => {
    for await (const known of client.watch(guest)) window.seen.push(known.value("climate.temperature.occupied"));
  })();
}"""


# A page that is as React Native in what matters here: `fetch` waits for the end of an answer and has no body to read.
WITHOUT_STREAMS = """() => {
  const { fetch } = window;
  const waits = (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  window.fetch = (url, init) => url.includes("/v1/changes") ? waits(init.signal) : fetch(url, init);
  delete Response.prototype.body;
}"""
OPENED_IN_PIECES = """async ([url, token, lettersMax]) => {
  const { GuestPrefs, xhrStreams } = await import("/index.js");
  window.client = new GuestPrefs(url, { token, openStream: xhrStreams(lettersMax), tabs: null });
}"""


class Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the test says what went wrong."""

    def do_GET(self) -> None:
        if self.path == "/":
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><link rel=icon href=data:,><title>A page of a hotel</title>")
        else:
            super().do_GET()


@contextmanager
def site(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder))) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def home(package: Path) -> Iterator[str]:
    with site(package / "dist") as url:
        yield url


@pytest.fixture(scope="module")
def place(home: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("service"), cors_origins=home) as place:
        yield place


@pytest.fixture(scope="module")
def browser(place: Place) -> Iterator[Browser]:
    """After the service: migrations bring a loop of their own, and so does what drives the browser."""
    with chromium() as browser:
        yield browser


class Device:
    """A browser with nothing in it yet; what it asked of the service is kept."""

    def __init__(self, context: BrowserContext, home: str, place: Place, *, sealed: bool = False) -> None:
        self.context, self.home, self.place, self.sealed = context, home, place, sealed
        self.guest = place.new_guest()
        self.asked: list[Request] = []
        self.faults: list[str] = []
        context.on("request", self._ask)
        context.on("weberror", lambda error: self.faults.append(str(error.error)))

    def _ask(self, request: Request) -> None:
        if request.url.startswith(self.place.url):
            self.asked.append(request)

    def tab(self) -> Page:
        page = self.context.new_page()
        page.goto(self.home)
        self.open(page)
        return page

    def open(self, page: Page) -> None:
        page.evaluate(OPENED, [self.place.url, self.place.guest_token(self.guest), self.sealed])

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """The service is out of reach; the page itself is not."""

        def refuse(route: Route) -> None:
            route.abort("internetdisconnected")

        self.context.route(f"{self.place.url}/**", refuse)
        yield
        self.context.unroute(f"{self.place.url}/**", refuse)

    def elsewhere(self, patch: dict[str, Any]) -> None:
        with GuestPrefs(self.place.url, self.place.guest_token(self.guest)) as client:
            client.edit(self.guest, patch)

    def calls(self, method: str, path: str) -> list[Request]:
        return [one for one in self.asked if one.method == method and path in one.url]


@pytest.fixture
def device(browser: Browser, home: str, place: Place) -> Iterator[Device]:
    context = browser.new_context()
    device = Device(context, home, place)
    yield device
    context.close()
    assert device.faults == []


def test_an_outbox_survives_a_reload(device: Device) -> None:
    device.elsewhere({QUIET: True})
    page = device.tab()
    assert page.evaluate(GOT, device.guest)["version"] == 2
    again = page.evaluate(GOT, device.guest)  # another origin is shown ETag and Preferences-Version too
    assert (again["fromCache"], again["stale"]) == (True, False)
    with device.cut_off():
        assert page.evaluate("(guest) => client.edit(guest, { 'lighting.brightness': 30 })", device.guest)["queued"]
        page.reload()
        device.open(page)
        known = page.evaluate(GOT, device.guest)
        assert (known["fromCache"], known["stale"], known["pending"]) == (True, True, [LIGHT])
        assert [known["preferences"][key]["value"] for key in (QUIET, LIGHT)] == [True, 30]
        waiting = page.evaluate("async () => (await client.waiting()).map((one) => one.patch)")
        assert waiting == [{LIGHT: 30}]
    assert page.evaluate("async () => (await client.flush()).waiting") == 0
    known = page.evaluate(GOT, device.guest)
    assert (known["preferences"][LIGHT]["value"], known["stale"], known["pending"]) == (30, False, [])
    assert device.guest in page.evaluate(RECORDS)
    page.evaluate("(guest) => client.wipe(guest)", device.guest)
    assert page.evaluate(RECORDS) == "[]"


def test_tabs_share_one_stream_and_the_next_takes_over(device: Device) -> None:
    device.elsewhere({WARMTH: 20})
    tabs = [device.tab() for _ in range(3)]
    for tab in tabs:
        tab.evaluate(FOLLOWED, device.guest)
        tab.wait_for_function("seen.at(-1) === 20")
    device.elsewhere({WARMTH: 21})
    for tab in tabs:
        tab.wait_for_function("seen.at(-1) === 21")
    assert len(device.calls("GET", "/v1/changes")) == 1
    tabs[0].close()
    device.elsewhere({WARMTH: 22})
    for tab in tabs[1:]:
        tab.wait_for_function("seen.at(-1) === 22")
        assert tab.evaluate("seen") == [20, 21, 22]
    first, second = device.calls("GET", "/v1/changes")
    assert "last-event-id" not in first.headers and second.headers["last-event-id"]


def test_tabs_share_one_outbox_and_each_edit_is_sent_once(device: Device) -> None:
    tabs = [device.tab(), device.tab()]
    with device.cut_off():
        for brightness in range(1, 7):
            edit = "([guest, brightness]) => client.edit(guest, { 'lighting.brightness': brightness })"
            tabs[brightness % 2].evaluate(edit, [device.guest, brightness])
    sent = len(device.calls("PATCH", "/preferences"))
    waiting = tabs[0].evaluate("async () => (await client.waiting()).length")
    for tab in tabs:
        tab.evaluate("() => { window.flushed = client.flush(); }")
    done = [tab.evaluate("async () => (await flushed).done.size") for tab in tabs]
    assert sum(done) == waiting == len(device.calls("PATCH", "/preferences")) - sent >= 1
    assert tabs[1].evaluate(GOT, device.guest)["preferences"][LIGHT]["value"] == 6
    with GuestPrefs(device.place.url, device.place.guest_token(device.guest)) as client:
        assert len([one for one in client.history(device.guest) if one.action == "edit"]) == waiting


EDITED = "([guest, brightness]) => client.edit(guest, { 'lighting.brightness': brightness })"
WAITING = "async () => (await client.waiting()).map((one) => one.patch)"


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_what_can_be_read_in_the_files_of_a_browser(
    sealed: bool, browser: Browser, home: str, place: Place, tmp_path: Path
) -> None:
    """Without a seal all of it, so what looks for it finds it; under one nothing, and a browser that is started again
    goes on with what waits."""
    with profile(browser, tmp_path) as context:
        device = Device(context, home, place, sealed=sealed)
        device.elsewhere({WARMTH: 20})
        page = device.tab()
        assert page.evaluate(GOT, device.guest)["version"] == 2
        with device.cut_off():
            assert page.evaluate(EDITED, [device.guest, 30])["queued"]
    kept = [file for file in tmp_path.rglob("*") if "IndexedDB" in file.parts and file.is_file()]
    held = b"".join(file.read_bytes() for file in kept)
    words = [device.guest, LIGHT, WARMTH, "preferences", "takenAt"]
    assert [word for word in words if word.encode() in held] == ([] if sealed else words)
    with profile(browser, tmp_path) as context:
        device.context = context
        page = device.tab()
        assert page.evaluate(WAITING) == [{LIGHT: 30}]
        assert page.evaluate("async () => (await client.flush()).waiting") == 0


def test_tabs_share_what_is_sealed_with_one_key(browser: Browser, home: str, place: Place) -> None:
    context = browser.new_context()
    device = Device(context, home, place, sealed=True)
    tabs = [device.tab(), device.tab()]
    with device.cut_off():
        for tab in tabs:  # both make a key, and one of them stands
            tab.evaluate("() => { window.asked = client.waiting(); }")
        for tab in tabs:
            tab.evaluate("() => asked")
        tabs[0].evaluate(EDITED, [device.guest, 30])
        assert [tab.evaluate(WAITING) for tab in tabs] == [[{LIGHT: 30}]] * 2
        assert device.guest not in tabs[0].evaluate(RECORDS)
        tabs[0].evaluate("() => client.wipe()")
        tabs[1].evaluate(EDITED, [device.guest, 40])
        assert [tab.evaluate(WAITING) for tab in tabs] == [[{LIGHT: 40}]] * 2
    context.close()
    assert device.faults == []


def test_where_fetch_waits_for_the_end_a_stream_is_live_all_the_same(device: Device) -> None:
    """Through XMLHttpRequest, which is chosen by itself; nothing is asked again."""
    device.elsewhere({WARMTH: 20})
    page = device.context.new_page()
    page.goto(device.home)
    page.evaluate(WITHOUT_STREAMS)
    device.open(page)
    page.evaluate(FOLLOWED, device.guest)
    for degrees in (20, 21, 22):
        device.elsewhere({WARMTH: degrees})
        page.wait_for_function(f"seen.at(-1) === {degrees}")
    assert page.evaluate("seen") == [20, 21, 22]
    assert (len(device.calls("GET", "/v1/changes")), device.calls("GET", "/preferences")) == (1, [])


def test_a_stream_that_has_grown_long_goes_on_as_another_one(device: Device) -> None:
    device.elsewhere({WARMTH: 20})
    page = device.context.new_page()
    page.goto(device.home)
    page.evaluate(OPENED_IN_PIECES, [device.place.url, device.place.guest_token(device.guest), 100])
    page.evaluate(FOLLOWED, device.guest)
    for degrees in (20, 21, 22):
        device.elsewhere({WARMTH: degrees})
        page.wait_for_function(f"seen.at(-1) === {degrees}")
    assert page.evaluate("seen") == [20, 21, 22]
    first, *others = device.calls("GET", "/v1/changes")
    assert "last-event-id" not in first.headers and others
    places = [one.headers["last-event-id"] for one in others]
    assert all(places) and len(set(places)) > 1
