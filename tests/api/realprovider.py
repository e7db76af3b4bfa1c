"""An OpenID provider from PyPI on loopback, told to issue RFC 9068 access tokens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import oidc_provider_mock
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from joserfc.jwk import Key, KeySet
from oidc_provider_mock import _app as provider_app
from werkzeug.serving import WSGIRequestHandler, make_server

from prefs.bootstrap import SystemClock
from tests.api.front import AUDIENCE


class Named:
    """A user of the provider, as authlib asks for one."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get_user_id(self) -> str:
        return self.name


class AccessTokens(JWTBearerTokenGenerator):  # type: ignore[misc]  # no types are published
    """Makes the provider issue RFC 9068 tokens with claims named as some provider names them."""

    def __init__(self, issuer: str, key: Key) -> None:
        super().__init__(issuer, alg="RS256", expires_generator=lambda client, grant: 300)
        self.key = key

    def access_token_generator(self, client: Any, grant_type: Any, user: Any, scope: Any) -> Any:
        return super().access_token_generator(client, grant_type, Named(user.sub), scope)

    def get_jwks(self) -> Any:
        return KeySet([self.key])

    def get_audiences(self, client: Any, user: Any, scope: Any) -> list[str]:
        return [AUDIENCE]

    def get_extra_claims(self, client: Any, grant_type: Any, user: Any, scope: Any) -> dict[str, Any]:
        return {
            "https://hotel.example/roles": ["offline", "staff"],
            "hotel": {"surface": "front_desk", "ids": "dallas"},
        }


@contextmanager
def real_provider(ahead_seconds: int = 0) -> Iterator[str]:
    """`oidc-provider-mock` on loopback, told to issue authlib's JWT access tokens; its issuer. It may be of another
    opinion what time it is."""
    app: Any = oidc_provider_mock.app()

    class Handler(WSGIRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            moment = SystemClock().now().timestamp() if timestamp is None else timestamp
            return super().date_time_string(moment + ahead_seconds)

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    issuer = f"http://127.0.0.1:{server.server_port}"

    def issue_jwts() -> None:
        generator = AccessTokens(issuer, provider_app.storage.jwk)
        provider_app.authorization.register_token_generator("default", generator)

    app.before_request(issue_jwts)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
