"""The product with one more route, on which everything goes wrong that could tell what it was about: an exception with
the words in it, in its cause and its notes, one of a task that nobody waits for, and chatty libraries."""

from __future__ import annotations

import asyncio
import gc
import logging
import warnings

from fastapi import FastAPI, Request

from api.app import create_app as real_app

PATH = "/faulty"


async def fail(request: Request) -> None:
    words = (await request.body()).decode()
    chatty = logging.getLogger("sqlalchemy.engine.Engine")
    chatty.debug("Row %r", (words,))
    chatty.info("[generated in 0.1s] %s", words)
    logging.getLogger("redis").info("sent %s", words)
    task = asyncio.ensure_future(_lost(words))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()
    try:
        _refuse(words)
    except ValueError as error:
        error.add_note(f"while reading {words}")
        raise ExceptionGroup(f"about {words}", [KeyError(words)]) from error


async def _lost(words: str) -> None:
    raise LookupError(words)


def _refuse(words: str) -> None:
    raise ValueError(f"cannot take {words}")


def create_app() -> FastAPI:
    logging.captureWarnings(True)
    warnings.simplefilter("default")
    app = real_app()
    app.add_api_route(PATH, fail, methods=["POST"], include_in_schema=False, response_model=None)
    return app
