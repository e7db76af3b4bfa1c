"""The first thing anyone does with a new server: make a guest, state a preference, read it back. Tried on an image.

Arguments: the address of the server, then the words that run a command where its keys are (`docker exec NAME`). The
tokens come from there, as an operator would make them.
"""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any


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


def main(base: str, *inside: str) -> None:
    def token(*claims: str) -> str:
        command = [*inside, "guestprefs", "token", *claims]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    service = token("--role", "service", "--surface", "guest_app", "--permission", "guests.all")
    guest = call("POST", f"{base}/v1/guests", service, {"display_name": "Nino"})["guest"]
    own = token("--role", "guest", "--surface", "guest_app", "--guest", guest)
    preferences = f"{base}/v1/guests/{guest}/preferences"
    key = "climate.temperature.occupied"
    call("PATCH", f"{preferences}?scope=profile", own, {key: {"value": 68, "unit": "[degF]"}})
    got = call("GET", preferences, own)["preferences"][key]
    if (got["value"], got["unit"], got["entered"]) != (20.0, "Cel", {"value": 68, "unit": "[degF]"}):
        raise SystemExit(f"68 degrees Fahrenheit came back as {got}")
    sys.stdout.write(f"stated 68 [degF], read {got['value']} {got['unit']} ({got['layer']})\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
