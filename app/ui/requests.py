"""What clients may send: every field has a type and bounds, and nothing unknown is taken."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.store.queue import Order
from app.store.records import PENDING, State

MAX_ID = 2**53 - 1
"""What JavaScript can count to, and every database can hold."""

Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Version = Annotated[int, Field(ge=1, le=MAX_ID)]
Coordinate = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Point = tuple[Coordinate, Coordinate]
Simplify = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
Form = Literal["auto", "polygon", "rle"]


def _upright(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    if box[2] <= box[0] or box[3] <= box[1]:
        raise ValueError("the box has no area; send [x0, y0, x1, y1] with x0 < x1 and y0 < y1")
    return box


def _one_line(text: str) -> str:
    stripped = text.strip()
    if not stripped or not stripped.isprintable():
        raise ValueError("write some text, in one line")
    return stripped


Box = Annotated[tuple[Coordinate, Coordinate, Coordinate, Coordinate], AfterValidator(_upright)]
"""xyxy, pixels of the upright photo."""

Words = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_one_line)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NewCategory(_Body):
    name: Words


class CategoryChange(_Body):
    synonyms: Annotated[list[Words], Field(max_length=50)] | None = None
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None


class Wish(_Body):
    """How the annotator goes through the photos."""

    order: Order = Order.QUALITY
    category_id: Id | None = None
    states: Annotated[list[State], Field(min_length=1, max_length=len(State))] = list(PENDING)
    include_done: bool = False


class NextImage(Wish):
    after: Id | None = None
    forward: bool = True


class OpenImage(Wish):
    leaving: Id | None = None


class Reviewed(_Body):
    reviewed: bool


class NewAnnotation(_Body):
    box: Box
    category_id: Id
    decode: bool = True


class Find(_Body):
    """``threshold``: lowest score of what is proposed; None for the labeler's default."""

    threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None


class Convert(_Body):
    redo: bool = False


class AnnotationChange(_Body):
    version: Version
    box: Box | None = None
    category_id: Id | None = None
    state: State | None = None
    form: Form | None = None
    simplify: Simplify | None = None
    decode: bool = False


class Versioned(_Body):
    version: Version


class RepairClick(_Body):
    version: Version
    x: Coordinate
    y: Coordinate
    include: bool


class Stroke(_Body):
    version: Version
    points: Annotated[list[Point], Field(min_length=1, max_length=5000)]
    radius: Annotated[float, Field(gt=0, le=2000, allow_inf_nan=False)]
    erase: bool


class Picked(_Body):
    id: Id
    version: Version


class Batch(_Body):
    annotations: Annotated[list[Picked], Field(min_length=1, max_length=5000)]
    state: State
