"""The HTTP face, put together in the order a request meets it: middleware, routers, handlers; and its life."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import fastapi_offline
import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from api import errors
from api.admission import Admission
from api.allowance import Allowance, RateLimit
from api.auth import Verifier, load_keys
from api.direct import DirectEdit
from api.dpop import Proofs
from api.hot import HotRead
from api.issuers import Provider, providers_of
from api.middleware import BodyLimit, Telemetry
from api.ofrep import OfrepRefusals
from api.routes import (
    accesses,
    catalogue,
    changes,
    consents,
    devices,
    enrolment,
    flags,
    guests,
    history,
    invitations,
    operations,
    pages,
    preferences,
    properties,
    rights,
    stays,
    webhooks,
)
from api.schemas.document import describe
from api.streams import Seats
from api.tokens import Signer
from prefs import telemetry
from prefs.bootstrap import House, open_house
from prefs.core.erasure import Tombstone
from prefs.core.errors import Unavailable
from prefs.settings import Settings

ROUTERS = (
    preferences,
    changes,
    flags,
    guests,
    consents,
    invitations,
    rights,
    history,
    accesses,
    catalogue,
    properties,
    stays,
    devices,
    enrolment,
    webhooks,
    operations,
)
TICK_SECONDS = 1.0
REPLAY_PAUSE_S = 1.0
CROSS_ORIGIN_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CROSS_ORIGIN_HEADERS = (
    *("Authorization", "Cache-Control", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key"),
    *("Last-Event-ID", "Preferences-Base-Version", "Preferences-Min-Version", "X-Request-ID"),
)
EXPOSED_HEADERS = (
    *("Age", "Cache-Status", "Coherence", "ETag", "Location", "Preferences-Version", "RateLimit", "RateLimit-Policy"),
    *("Retry-After", "X-Request-ID"),
)
PREFLIGHT_KEPT_S = 600
REVOCATIONS_SECONDS = 15
_log = telemetry.logger("watch")
_DOCS_FILES = Path(fastapi_offline.__file__).parent / "static"


class Application(FastAPI):
    """FastAPI with the hot read ahead of it, and ahead of both, where pages of other origins may call, what tells their
    browsers so."""

    hot: HotRead
    cors: CORSMiddleware | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.cors is not None:
            await self.cors(scope, receive, send)
        else:
            await self.answer(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not await self.hot.answer(scope, send):
            await super().__call__(scope, receive, send)

    def open_to(self, origins: list[str]) -> None:
        """Let pages of these origins call. Never with cookies or the like: a page that calls holds a token."""
        self.cors = CORSMiddleware(
            self.answer,
            allow_origins=origins,
            allow_methods=CROSS_ORIGIN_METHODS,
            allow_headers=CROSS_ORIGIN_HEADERS,
            expose_headers=EXPOSED_HEADERS,
            max_age=PREFLIGHT_KEPT_S,
        )


def create_app(settings: Settings | None = None, house: House | None = None) -> Application:
    """The application. Nothing is opened before the lifespan starts; a given house is its giver's to close."""
    settings = settings or Settings()
    app = Application(
        title="guestprefs",
        version=version("guestprefs"),
        lifespan=_life(settings, house),
        generate_unique_id_function=operation_id,
        docs_url=None,
        redoc_url=None,
        openapi_tags=[
            {"name": module.router.tags[0], "description": _first_line(module.__doc__)} for module in ROUTERS
        ],
    )
    app.state.draining = False
    app.state.house = None
    app.state.public_url = settings.public_url.rstrip("/")
    app.state.allowance = Allowance(settings.caller_rate, settings.service_rate, settings.property_rate)
    app.state.seats = Seats(settings.streams_per_caller)
    app.state.device_page = settings.device_page
    app.state.issuer = settings.issuer
    app.hot = HotRead()
    if settings.origins:
        app.open_to(settings.origins)
    # The one added last is met first.
    app.add_middleware(OfrepRefusals)
    app.add_middleware(DirectEdit)
    app.add_middleware(BodyLimit)
    app.add_middleware(Telemetry, behind_tls=settings.behind_tls)
    app.add_middleware(Admission, at_once=settings.requests_at_once, body_timeout_s=settings.body_timeout)
    app.add_middleware(RateLimit)
    app.add_middleware(OfrepRefusals)
    for module in ROUTERS:
        app.include_router(module.router)
    app.include_router(pages.router)
    app.mount(pages.DOCS_FILES, StaticFiles(directory=_DOCS_FILES))
    errors.install(app)
    app.add_exception_handler(enrolment.OAuthRefused, enrolment.on_refused)
    app.openapi = _described_once(app)  # type: ignore[method-assign]
    return app


def operation_id(route: APIRoute) -> str:
    """The function's own name: a plain verb and its noun."""
    return route.name


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().splitlines()[0]


def _described_once(app: FastAPI) -> Callable[[], dict[str, Any]]:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    return openapi


def _life(settings: Settings, given: House | None) -> Callable[[Any], Any]:
    @asynccontextmanager
    async def life(app: Application) -> AsyncIterator[None]:
        keys = await asyncio.to_thread(load_keys, settings.keys)
        house = given or await open_house(settings)
        providers = providers_of(
            settings.oidc_issuers,
            settings.oidc_jwks_urls,
            settings.oidc_claims,
            settings.oidc_token_seconds,
            house.clock,
        )
        app.state.verifier = Verifier(
            keys, settings.issuer, settings.audience, providers=providers, counts=house.counts
        )
        app.state.signer = Signer(keys, settings.issuer, settings.audience)
        app.state.proofs = Proofs(counts=house.counts)
        watch = app.state.watch = Watch(providers, house, app.state.verifier)
        await watch.tick()
        tasks = [asyncio.create_task(watch.run())]

        def open_doors() -> None:
            app.state.house = house
            app.hot.open(
                house.tiers,
                house.clock,
                app.state.verifier,
                house.witness,
                app.state.allowance,
                behind_tls=settings.behind_tls,
                base=app.state.public_url,
            )
            tasks.append(asyncio.create_task(_settle(app.state.allowance, house)))
            tasks.append(asyncio.create_task(house.tombstones.watch()))
            tasks.append(asyncio.create_task(house.deliveries.run()))

        try:
            _drain_on_signal(app)
            # A database that was restored may hold guests who were erased since: until they are gone again nobody is
            # served, and /readyz says 503.
            if missing := await house.tombstones.outstanding():
                tasks.append(asyncio.create_task(_erase_again(house, missing, open_doors)))
            else:
                open_doors()
            yield
        finally:
            app.hot.close()
            app.state.house = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if given is None:
                await house.close()

    return life


class Watch:
    """Looks at everything beyond this process that decides whose tokens count, once a second."""

    def __init__(self, providers: Sequence[Provider], house: House, verifier: Verifier) -> None:
        self._providers, self._house, self._verifier = providers, house, verifier
        self._read_at = float("-inf")

    async def tick(self) -> None:
        now = self._house.clock.now().timestamp()
        looks = [provider.tick() for provider in self._providers]
        if now >= self._read_at + REVOCATIONS_SECONDS:
            looks.append(self._try_revocations(now))
            self._verifier.tidy(self._house.clock.now())
        await asyncio.gather(*looks)

    async def _try_revocations(self, now: float) -> None:
        self._read_at = now
        try:
            await self.read_revocations()
        except Unavailable as gone:
            _log.warning("revocations could not be read", reason=str(gone))

    async def read_revocations(self) -> None:
        """Take over what is revoked; a process cut off from the database goes by what it read last."""
        self._verifier.revoke(await self._house.revocations.current())

    async def run(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self.tick()


async def _settle(allowance: Allowance, house: House) -> None:
    """Keep the buckets of all processes one, where there is something that they share."""
    if house.counts is not None:
        await allowance.keep_settling(house.counts)


async def _erase_again(house: House, missing: dict[str, Tombstone], done: Callable[[], None]) -> None:
    log = structlog.get_logger()
    while True:
        try:
            found = await house.tombstones.replay(missing)
        except Unavailable as error:
            log.warning("erasures_not_replayed", why=str(error))
            await asyncio.sleep(REPLAY_PAUSE_S)
            continue
        log.warning("erasures_replayed", tombstones=len(missing), guests=found)
        return done()


def _drain_on_signal(app: FastAPI) -> None:
    """SIGUSR1: go on serving, but tell whoever balances the load to send nothing more."""
    if threading.current_thread() is not threading.main_thread():
        return  # only the main thread may take signals; such a process is stopped by whoever embeds it

    def drain() -> None:
        app.state.draining = True
        if app.state.house is not None:
            app.state.house.feed.drain()

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, drain)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})  # one sent while this process started is heard now
