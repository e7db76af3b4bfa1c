"""Webhooks: who outside is told of changes, how it is signed, and what came of it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from api.deps import GUARDED, CallerDep, WebhooksDep, body_of
from api.schemas import webhooks as shapes
from api.schemas.document import answers, takes
from api.schemas.fields import ID_PATTERN
from api.schemas.representations import respond, told

router = APIRouter(tags=["webhooks"], dependencies=GUARDED)

PAGE_DEFAULT, PAGE_MAX = 50, 100
POSITION = r"^[0-9]{1,17}\.msg_[0-9a-f]{32}$"
NO_STORE = {"cache-control": "no-store"}
WebhookId = Annotated[str, Path(pattern=ID_PATTERN, description="The webhook's id.", examples=["pms"])]
DeliveryId = Annotated[
    str,
    Path(
        pattern=r"^msg_[0-9a-f]{32}$",
        description="The message's id.",
        examples=["msg_3f1c0a5f7d8e4b6f9a2c1d0e8b7a6c5d"],
    ),
]


@router.get("/v1/webhooks", response_model=shapes.Webhooks, responses=answers(shapes.WEBHOOKS_EXAMPLE))
async def list_webhooks(request: Request, caller: CallerDep, webhooks: WebhooksDep) -> Response:
    """All webhooks by id."""
    return told(request, await webhooks.list(caller))


@router.get("/v1/webhooks/{webhook}", response_model=shapes.Webhook, responses=answers(shapes.WEBHOOK_EXAMPLE))
async def get_webhook(request: Request, webhook: WebhookId, caller: CallerDep, webhooks: WebhooksDep) -> Response:
    """A webhook, and whether its receiver takes what it is told."""
    return told(request, await webhooks.get(caller, webhook))


@router.put(
    "/v1/webhooks/{webhook}",
    response_model=shapes.Webhook,
    responses={
        **answers(shapes.WEBHOOK_EXAMPLE),
        201: {"model": shapes.Webhook, **answers(shapes.MADE_EXAMPLE, 201)[201]},
    },
    openapi_extra=takes("WebhookPut", shapes.PUT_EXAMPLE),
)
async def put_webhook(
    request: Request,
    webhook: WebhookId,
    caller: CallerDep,
    webhooks: WebhooksDep,
    body: Annotated[shapes.WebhookPut, Depends(body_of(shapes.WebhookPut))],
) -> Response:
    """Make a webhook (201, with its secret, which is told this once), or say anew what it is."""
    answer, made = await webhooks.put(
        caller,
        webhook,
        url=body.url,
        surface=body.surface,
        events=body.events,
        description=body.description,
        enabled=body.enabled,
    )
    return told(request, answer, status=201, headers=NO_STORE) if made else told(request, answer)


@router.delete("/v1/webhooks/{webhook}", status_code=204)
async def delete_webhook(webhook: WebhookId, caller: CallerDep, webhooks: WebhooksDep) -> Response:
    """Tell this receiver nothing more, and forget what it was told."""
    await webhooks.delete(caller, webhook)
    return Response(status_code=204)


@router.post(
    "/v1/webhooks/{webhook}/secrets",
    response_model=shapes.WebhookSecret,
    status_code=201,
    responses=answers(shapes.SECRET_EXAMPLE, 201),
)
async def rotate_secret(request: Request, webhook: WebhookId, caller: CallerDep, webhooks: WebhooksDep) -> Response:
    """Another secret, told this once. For a day messages are signed with this one and the one before."""
    answer = await webhooks.rotate(caller, webhook)
    return respond(request, answer.body, status=201, headers=NO_STORE)


@router.post("/v1/webhooks/{webhook}/ping", response_model=shapes.Ping, responses=answers(shapes.PING_EXAMPLE))
async def ping_webhook(request: Request, webhook: WebhookId, caller: CallerDep, webhooks: WebhooksDep) -> Response:
    """Send a signed message that says nothing, at once and once; what came back."""
    return told(request, await webhooks.ping(caller, webhook))


@router.get(
    "/v1/webhooks/{webhook}/deliveries",
    response_model=shapes.Deliveries,
    responses=answers(shapes.DELIVERIES_EXAMPLE),
)
async def list_deliveries(
    request: Request,
    webhook: WebhookId,
    caller: CallerDep,
    webhooks: WebhooksDep,
    state: Annotated[shapes.State | None, Query(description="Only deliveries in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Deliveries of one page.")] = PAGE_DEFAULT,
    cursor: Annotated[str | None, Query(pattern=POSITION, description="`next_cursor` of the page before.")] = None,
) -> Response:
    """What a webhook was told in the last thirty days, and what came of it; `state=dead` was given up after a day."""
    return told(request, await webhooks.log(caller, webhook, state=state, limit=limit, cursor=cursor))


@router.post(
    "/v1/webhooks/{webhook}/deliveries/{delivery}/replay",
    response_model=shapes.Delivery,
    status_code=202,
    responses=answers(shapes.DELIVERY_EXAMPLE, 202),
)
async def replay_delivery(
    request: Request, webhook: WebhookId, delivery: DeliveryId, caller: CallerDep, webhooks: WebhooksDep
) -> Response:
    """Have a message delivered again, under the same id, with what it may say now."""
    return told(request, await webhooks.replay(caller, webhook, delivery), status=202)
