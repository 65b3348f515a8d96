"""Which photo comes next, and whose it is."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.store import images, queue
from app.store.annotations import annotations_of
from app.store.errors import Leased
from app.store.records import ImageRecord
from app.ui.answers import image_json
from app.ui.requests import NextImage, OpenImage, Reviewed, Wish
from app.ui.server import Here, ItemId, User

router = APIRouter(prefix="/api")

AHEAD = 2
"""Photos that are likely to come next and are opened ahead."""


@router.post("/queue/next")
def next_image(here: Here, user: User, body: NextImage) -> dict[str, Any]:
    """The next photo with work that nobody else has; it is leased to the annotator. ``image`` is null at the end."""
    wish = _wish(user, body) | {"forward": body.forward}
    found = queue.next_image(here.project, after=body.after, lease_seconds=here.settings.lease_seconds, **wish)
    if found is None:
        return {"image": None}
    upcoming = queue.upcoming(here.project, after=found.id, count=AHEAD, **wish)
    here.engine.prefetch(found.id)
    return {"image": _shown(here, found, upcoming)}


@router.get("/images")
def list_images(
    here: Here,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    search: Annotated[str, Query(max_length=200)] = "",
) -> dict[str, Any]:
    found = images.list_images(here.project, offset=offset, limit=limit, search=search)
    fields = ("id", "file_name", "pending", "total", "reviewed")
    return {"images": [{name: getattr(summary, name) for name in fields} for summary in found]}


@router.get("/images/{image_id}")
def one_image(here: Here, user: User, image_id: ItemId) -> dict[str, Any]:
    """This very photo, leased to the annotator if it is free; ``lease_by`` tells who has it."""
    found = _claimed(here, user, image_id)
    here.engine.prefetch(image_id)
    return _shown(here, found)


@router.post("/images/{image_id}/open")
def open_image(here: Here, user: User, image_id: ItemId, body: OpenImage) -> dict[str, Any]:
    """As above, and the photo that the annotator comes from is free for others. Says what probably comes next."""
    found = _claimed(here, user, image_id)
    if body.leaving is not None and body.leaving != image_id:
        queue.release(here.project, user, body.leaving)
    upcoming = queue.upcoming(here.project, after=found.id, count=AHEAD, **_wish(user, body))
    here.engine.prefetch(image_id)
    return _shown(here, found, upcoming)


@router.post("/images/{image_id}/renew")
def renew(here: Here, user: User, image_id: ItemId) -> dict[str, Any]:
    """The annotator is still at it."""
    queue.renew(here.project, image_id, actor=user, lease_seconds=here.settings.lease_seconds)
    return {"lease_by": user, "seconds": here.settings.lease_seconds}


@router.post("/images/{image_id}/reviewed")
def reviewed(here: Here, user: User, image_id: ItemId, body: Reviewed) -> dict[str, Any]:
    """Done with this photo (or not, after all), whatever is on it."""
    queue.set_reviewed(here.project, image_id, actor=user, reviewed=body.reviewed)
    return _shown(here, images.image(here.project, image_id))


@router.post("/images/{image_id}/prefetch")
def prefetch(here: Here, image_id: ItemId) -> Response:
    """Get the photo ready for its first click."""
    images.image(here.project, image_id)
    here.engine.prefetch(image_id)
    return Response(status_code=202)


def _wish(user: str, body: Wish) -> dict[str, Any]:
    return {
        "actor": user,
        "order": body.order,
        "category_id": body.category_id,
        "states": body.states,
        "include_done": body.include_done,
    }


def _claimed(here: Here, user: str, image_id: int) -> ImageRecord:
    try:
        return queue.claim(here.project, image_id, actor=user, lease_seconds=here.settings.lease_seconds)
    except Leased:  # looking is allowed
        return images.image(here.project, image_id)


def _shown(here: Here, record: ImageRecord, upcoming: list[int] | None = None) -> dict[str, Any]:
    return image_json(
        record,
        annotations_of(here.project, record.id),
        now=time.time(),
        warning=here.engine.warning(record.id),
        upcoming=upcoming or [],
    )
