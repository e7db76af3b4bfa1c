"""The page where staff lets a device in, as a browser runs it: by keyboard alone, on a phone, with everything that can
go wrong said in words, and with nothing in it that is not its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from prefs.settings import Settings
from tests.api.conftest import StandingClock, opened
from tests.api.front import Front
from tests.browsers import chromium
from tests.cli.served import Served, bearer, guestprefs

LONGEST_NAME = "thermostat-" + "W" * 89
PHONE = {"width": 320, "height": 640}
TARGET_PX_MIN = 44
PAGE = "/device"


@pytest.fixture
def kind() -> str:
    return "memory"


# ---------------------------------------------------------------- as it is sent


async def test_the_page_may_run_and_be_framed_by_nothing_else(front: Front) -> None:
    page = await front.call("GET", PAGE)
    assert page.status_code == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
    for closed in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert policy[closed] == "'none'"
    for inline in ("script-src", "style-src"):
        assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='", policy[inline]), inline
    assert (policy["connect-src"], policy["require-trusted-types-for"]) == ("'self'", "'script'")
    assert page.headers.get_list("cache-control") == ["no-store"]
    assert page.headers.get_list("x-content-type-options") == ["nosniff"]
    assert (page.headers["x-frame-options"], page.headers["referrer-policy"]) == ("DENY", "no-referrer")
    assert page.headers["cross-origin-opener-policy"] == "same-origin"


async def test_the_page_names_no_other_place_and_no_handler_in_its_markup(front: Front) -> None:
    page = (await front.call("GET", PAGE)).text
    assert re.findall(r"(?:https?:)?//[\w.-]+", page) == []
    assert re.findall(r"(?:src|href)=\"([^\"]+)\"", page) == ["data:,"]
    assert not re.search(r"<[^>]+ (?:on\w+|style)=", page)  # neither would be run: they have no digest
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", page)
    assert PAGE not in (await front.ok("GET", "/openapi.json"))["paths"]


async def test_a_device_is_told_where_its_code_is_typed_in(settings: Settings, clock: StandingClock) -> None:
    form = {"client_id": "kiosk-1", "scope": "kiosk"}
    for changed, where in (
        ({}, "http://test/device"),
        ({"public_url": "https://prefs.hotel.example"}, "https://prefs.hotel.example/device"),
        ({"device_page": "https://desk.hotel.example/in?lang=en"}, "https://desk.hotel.example/in?lang=en"),
    ):
        async with opened(settings.model_copy(update=changed), clock) as front:
            told = (await front.http.post("/oauth/device_authorization", data=form)).json()
        assert told["verification_uri"] == where
        complete = urlsplit(told["verification_uri_complete"])
        assert parse_qs(complete.query)["user_code"] == [told["user_code"]]
        assert told["verification_uri_complete"].startswith(where)


# ---------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("page"), "--demo", "--guests", "2") as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


class Desk:
    """A member of staff with this page open; what the page asked for and complained of is kept."""

    def __init__(self, server: Served, page: Page) -> None:
        self.server, self.page = server, page
        self.demo = server.demo()
        self.staff: str = self.demo["tokens"]["staff"]["engineering"]
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.on("request", self._ask)
        page.on("console", self._complain)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _ask(self, request: Request) -> None:
        self.asked.append(request.url)

    def _complain(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:  # that is a status of ours
            self.complaints.append(message.text)

    def device(self, name: str = "thermostat-1204", surface: str = "thermostat") -> dict[str, Any]:
        form = {"client_id": name, "scope": surface}
        told: dict[str, Any] = httpx2.post(f"{self.server.url}/oauth/device_authorization", data=form).json()
        return told

    def grant(self, asked: dict[str, Any]) -> dict[str, Any]:
        url = f"{self.server.url}/v1/device-grants/{asked['user_code']}"
        told: dict[str, Any] = httpx2.get(url, headers=bearer(self.staff)).json()
        return told

    def token(self, *claims: str) -> str:
        return guestprefs(self.server.folder, "token", *claims, "--data", str(self.server.data)).stdout.strip()

    def open(self, query: str = "") -> None:
        self.page.goto(self.server.url + PAGE + query)

    def look_up(self, code: str, token: str | None = None) -> None:
        self.page.get_by_label("Your access token").fill(self.staff if token is None else token)
        self.page.get_by_label("Code on the device").fill(code)
        self.page.get_by_role("button", name="Look up").click()

    def hears(self, words: str) -> None:
        expect(self.page.get_by_role("alert")).to_contain_text(words)


@pytest.fixture
def desk(server: Served, browser: Browser) -> Iterator[Desk]:
    page = browser.new_page()
    desk = Desk(server, page)
    yield desk
    assert desk.complaints == []
    assert {urlsplit(url).netloc for url in desk.asked if not url.startswith("data:")} <= {urlsplit(server.url).netloc}
    page.close()


def test_a_device_is_let_in_by_keyboard_alone(desk: Desk) -> None:
    asked = desk.device()
    desk.page.goto(asked["verification_uri_complete"])
    press = desk.page.keyboard.press
    press("Tab")
    desk.page.keyboard.type(desk.staff)
    press("Tab")
    expect(desk.page.get_by_label("Code on the device")).to_be_focused()
    expect(desk.page.get_by_label("Code on the device")).to_have_value(asked["user_code"])
    press("Enter")
    expect(desk.page.get_by_role("heading", name="thermostat-1204")).to_be_focused()
    grant = desk.page.locator("#grant")
    expect(grant).to_contain_text(asked["user_code"])
    expect(grant).to_contain_text("A thermostat")
    assert len(re.findall(r"\d{1,2}:\d{2}", grant.inner_text())) == 2  # asked at, good until
    press("Tab")
    expect(desk.page.get_by_label("Property")).to_be_focused()
    expect(desk.page.get_by_label("Property").locator("option")).to_contain_text([desk.demo["property"]])
    press("Tab")
    expect(desk.page.get_by_role("button", name="Let it in")).to_be_focused()
    press("Enter")
    desk.hears("thermostat-1204 is let in at")
    expect(desk.page.get_by_role("alert")).to_be_focused()
    told = desk.grant(asked)
    assert (told["status"], told["property"]) == ("approved", desk.demo["property"])
    press("Tab")
    expect(desk.page.get_by_role("button", name="Next device")).to_be_focused()
    press("Enter")
    expect(desk.page.get_by_label("Code on the device")).to_be_focused()
    expect(desk.page.get_by_label("Code on the device")).to_have_value("")


def test_a_device_is_refused_and_a_decision_stays(desk: Desk) -> None:
    asked = desk.device("kiosk-9", "kiosk")
    desk.open()
    desk.look_up(asked["user_code"].lower().replace("-", " "))
    expect(desk.page.locator("#grant")).to_contain_text("A kiosk")
    desk.page.get_by_role("button", name="Refuse it").click()
    desk.hears("kiosk-9 is refused")
    assert desk.grant(asked)["status"] == "denied"
    desk.look_up(asked["user_code"])
    desk.hears("was refused already")
    expect(desk.page.get_by_role("button", name="Let it in")).to_be_hidden()


def test_what_somebody_else_decided_meanwhile_is_told(desk: Desk) -> None:
    asked = desk.device()
    desk.open()
    desk.look_up(asked["user_code"])
    url = f"{desk.server.url}/v1/device-grants/{asked['user_code']}"
    body = {"property": desk.demo["property"], "approve": False}
    assert httpx2.put(url, json=body, headers=bearer(desk.staff)).status_code == 200
    desk.page.get_by_role("button", name="Let it in").click()
    desk.hears("Somebody has decided this already")
    assert desk.grant(asked)["status"] == "denied"


def test_wrong_tokens_and_codes_are_told_with_what_to_do(desk: Desk) -> None:
    asked = desk.device()
    tokens = desk.demo["tokens"]
    desk.open()
    for code, token, words, field in (
        (asked["user_code"], "", "Paste your access token first", "token"),
        (asked["user_code"], "not ünicode", "This is no access token", "token"),
        (asked["user_code"], tokens["guest"] + "x", "The token is not accepted", "token"),
        ("WDJB", None, "The code has eight letters", "code"),
        ("BBBB-BBBB", None, "No device shows this code", "code"),
    ):
        desk.look_up(code, token)
        desk.hears(words)
        expect(desk.page.locator(f"#{field}")).to_have_attribute("aria-invalid", "true")
        expect(desk.page.locator("#grant")).to_be_hidden()
    desk.look_up(asked["user_code"], tokens["guest"])
    desk.hears("This token may not let devices in")
    desk.look_up(asked["user_code"])
    expect(desk.page.get_by_role("heading", name="thermostat-1204")).to_be_visible()
    assert desk.page.locator("[aria-invalid]").count() == 0


def test_staff_of_no_known_property_and_an_operator_of_all(desk: Desk) -> None:
    asked = desk.device()
    desk.open()
    nowhere = desk.token("--role", "staff", "--surface", "engineering", "--property", "nowhere")
    desk.look_up(asked["user_code"], nowhere)
    desk.hears("There is no property that this token may let a device in at")
    expect(desk.page.get_by_role("button", name="Let it in")).to_be_hidden()
    desk.look_up(asked["user_code"], desk.demo["tokens"]["operator"])
    expect(desk.page.get_by_role("button", name="Let it in")).to_be_visible()
    houses = httpx2.get(f"{desk.server.url}/v1/properties", headers=bearer(desk.demo["tokens"]["operator"])).json()
    assert desk.page.get_by_label("Property").locator("option").count() == len(houses["items"]) > 1


def test_a_service_that_is_out_of_reach_or_busy_is_told(desk: Desk) -> None:
    desk.open()
    desk.page.route("**/v1/**", lambda route: route.abort())
    desk.look_up("BBBB-BBBB")
    desk.hears("The service cannot be reached")
    desk.page.unroute("**/v1/**")
    desk.page.route("**/v1/**", lambda route: route.fulfill(status=503, headers={"retry-after": "7"}, body="no json"))
    desk.look_up("BBBB-BBBB")
    desk.hears("Try again in 7 seconds")
    expect(desk.page.get_by_role("button", name="Look up")).to_be_enabled()


def test_a_phone_shows_all_of_it_in_its_width(desk: Desk) -> None:
    desk.page.set_viewport_size(PHONE)
    asked = desk.device(LONGEST_NAME)
    desk.open()

    def fits() -> None:
        assert desk.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        for target in desk.page.locator("input:visible, select:visible, button:visible").all():
            box = target.bounding_box()
            assert box is not None and box["height"] >= TARGET_PX_MIN and box["x"] + box["width"] <= PHONE["width"]

    fits()
    desk.look_up("BBBB-BBBB")
    desk.hears("No device shows this code")
    fits()
    desk.look_up(asked["user_code"])
    expect(desk.page.get_by_role("heading", name=LONGEST_NAME)).to_be_visible()
    fits()
    desk.page.get_by_role("button", name="Let it in").click()
    desk.hears("is let in at")
    fits()


def test_the_token_stays_in_the_page(desk: Desk) -> None:
    desk.open()
    desk.look_up(desk.device()["user_code"])
    expect(desk.page.get_by_role("heading", name="thermostat-1204")).to_be_visible()
    assert desk.page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert not any(desk.staff in url for url in [*desk.asked, desk.page.url])
    desk.open("?user_code=BBBB-BBBB")
    desk.page.go_back()
    expect(desk.page.get_by_label("Your access token")).to_have_value("")


def test_a_script_that_somebody_put_into_the_page_is_not_run(desk: Desk) -> None:
    """A planted fault: one character more in the script than the policy names the digest of."""

    def change(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace('"use strict";', '"use strict"; '))

    desk.page.route(f"**{PAGE}", change)
    desk.open()
    desk.page.wait_for_load_state()
    assert [one for one in desk.complaints if "script-src" in one]
    desk.complaints.clear()
    assert desk.page.evaluate("typeof decide") == "undefined"
