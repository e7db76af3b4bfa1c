"""The OpenAPI document as text, the same bytes each time: checked in as clients/openapi.json and held to the code."""

import json

from api.app import create_app


def document() -> str:
    return json.dumps(create_app().openapi(), indent=2, ensure_ascii=False) + "\n"
