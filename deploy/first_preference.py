"""The first things anyone does with a new server, tried on an image: a wish, and a need that is special-category data.

Arguments: `state` or `read`, the address of the server, then the words that run a command where its keys are
(`docker exec NAME`). The tokens come from there, as an operator would make them. `state` makes a guest, a consent and
what they are for; `read` finds all of it again, which after a restart says that keys, vault and ledger were kept.
"""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

WARMTH, ALLERGENS = "climate.temperature.occupied", "food.allergens"
PROPERTY, STAY = "first-hotel", "first-stay"
NAMED = {"system": "pms", "id": "first-guest"}
DAY_SECONDS = 86_400


def call(method: str, url: str, token: str = "", body: Any = None) -> Any:
    headers = {"Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{method} {url}: {error.code} {error.read().decode(errors='replace')}") from error


def require(fine: bool, fault: str) -> None:
    if not fine:
        raise SystemExit(fault)


def day(offset: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset * DAY_SECONDS))


class Visit:
    """One server, and the commands that run beside it."""

    def __init__(self, base: str, inside: tuple[str, ...]) -> None:
        self.base, self.inside = base, inside
        self.service = self.token("--role", "service", "--surface", "guest_app", "--permission", "guests.all")

    def run(self, *words: str) -> str:
        done = subprocess.run([*self.inside, "guestprefs", *words], check=False, capture_output=True, text=True)
        require(done.returncode == 0, f"guestprefs {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def token(self, *claims: str) -> str:
        return self.run("token", *claims)

    def own(self, guest: str) -> str:
        return self.token("--role", "guest", "--surface", "guest_app", "--guest", guest)

    def state(self) -> None:
        guests = f"{self.base}/v1/guests"
        guest = call("POST", guests, self.service, {"display_name": "Nino", "identifiers": [NAMED]})["guest"]
        operator = self.token("--role", "operator", "--surface", "front_desk")
        call("PUT", f"{self.base}/v1/properties/{PROPERTY}", operator, {"name": "First", "time_zone": "UTC"})
        stay = {"guest": guest, "property": PROPERTY, "arrival": day(-1), "departure": day(2), "status": "in_house"}
        call("PUT", f"{self.base}/v1/stays/{STAY}", self.service, stay | {"room": "1204"})
        own = self.own(guest)
        call("PUT", f"{guests}/{guest}/consents/food_safety", own)
        patch = {WARMTH: {"value": 68, "unit": "[degF]"}, ALLERGENS: [{"code": "peanuts"}]}
        call("PATCH", f"{guests}/{guest}/preferences?scope=profile", own, patch)

    def read(self) -> str:
        guests = f"{self.base}/v1/guests"
        guest = call("GET", f"{guests}?system={NAMED['system']}&id={NAMED['id']}", self.service)["guest"]
        own = self.own(guest)
        got = call("GET", f"{guests}/{guest}/preferences", own)["preferences"]
        warmth = got[WARMTH]
        fine = (warmth["value"], warmth["unit"], warmth["entered"]) == (20.0, "Cel", {"value": 68, "unit": "[degF]"})
        require(fine, f"68 degrees Fahrenheit came back as {warmth}")
        receipt = call("GET", f"{guests}/{guest}/consents/food_safety/receipt", own)
        require(receipt["version"] == 1, f"the consent left the receipt {receipt}")

        log = f"{guests}/{guest}/access-log"
        before = len(call("GET", log, own)["accesses"])
        kitchen = self.token("--role", "staff", "--surface", "food", "--property", PROPERTY)
        told = call("GET", f"{guests}/{guest}/preferences?property={PROPERTY}", kitchen)["preferences"][ALLERGENS]
        require(bool(told.get("action")), f"the kitchen was told {told}")
        seen = call("GET", log, own)["accesses"]
        require(len(seen) == before + 1, f"after a read by the kitchen the guest's log has {seen}")
        require([key["key"] for key in seen[0]["keys"]] == [ALLERGENS], f"the newest record is {seen[0]}")
        whole = self.run("ledger", "verify").splitlines()[-1]
        return f"68 [degF] is {warmth['value']} {warmth['unit']}; the kitchen read, and the guest sees it. {whole}"


def main(what: str, base: str, *inside: str) -> None:
    visit = Visit(base, inside)
    if what == "state":
        visit.state()
    sys.stdout.write(visit.read() + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
