"""The project as a whole: its classes, its progress, the way in and out of COCO and other formats."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, UploadFile
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response

from app.datasets.download import write_zip
from app.store import images, projects
from app.store.coco_export import EXPORTED, export_coco
from app.store.coco_import import merge_coco
from app.store.errors import StoreError
from app.store.progress import progress
from app.store.queue import Order
from app.store.records import CategoryRecord, State
from app.ui.answers import category_json
from app.ui.requests import CategoryChange, NewCategory
from app.ui.server import Here, ItemId, User
from app.version import version
from exporters.coco import CocoError
from exporters.dataset import FormatError
from exporters.formats import STORED
from labelers.vocabulary import THRESHOLD

router = APIRouter(prefix="/api")


@router.get("/project")
def project(here: Here) -> dict[str, Any]:
    categories = projects.categories(here.project)
    return {
        "id": here.project.id,
        "name": here.project.name,
        "images": images.image_count(here.project),
        "categories": [category_json(category, index) for index, category in enumerate(categories)],
        "orders": [order.value for order in Order],
        "model": dataclasses.asdict(here.engine.state),
        "threshold": THRESHOLD,
        "version": version(),
    }


@router.get("/progress")
def show_progress(here: Here) -> dict[str, Any]:
    return dataclasses.asdict(progress(here.project))


@router.post("/categories")
def add_category(here: Here, user: User, body: NewCategory) -> dict[str, Any]:
    return _category(here, projects.add_category(here.project, body.name, actor=user))


@router.patch("/categories/{category_id}")
def change_category(here: Here, category_id: ItemId, body: CategoryChange) -> dict[str, Any]:
    changed: CategoryRecord | None = None
    if body.synonyms is not None:
        changed = projects.set_synonyms(here.project, category_id, body.synonyms)
    if body.colour is not None:
        changed = projects.set_colour(here.project, category_id, body.colour)
    if changed is None:
        raise StoreError("nothing to change: send synonyms or colour")
    return _category(here, changed)


@router.get("/export.json")
def export(
    here: Here, provenance: bool = True, states: Annotated[list[State] | None, Query(max_length=len(State))] = None
) -> Response:
    """The project as a COCO file, one ``states`` for each state that is wanted (default: all but rejected).

    Written to a temporary file first, so that an error is an answer and not half a file.
    """
    folder = Path(tempfile.mkdtemp(prefix="openseed-export-"))
    try:
        export_coco(here.project, folder / "export.json", provenance=provenance, states=states or EXPORTED)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FileResponse(
        folder / "export.json",
        media_type="application/json",
        filename=f"{_file_name(here.project.name)}.json",
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )


@router.get("/export.zip")
def export_zip(
    here: Here,
    to: Annotated[Literal[STORED], Query(alias="format")],  # type: ignore[valid-type]
    photos: bool = False,
    states: Annotated[list[State] | None, Query(max_length=len(State))] = None,
) -> Response:
    """The project in another format, as a zip with notes of what the format could not hold."""
    folder = Path(tempfile.mkdtemp(prefix="openseed-export-"))
    name = _file_name(here.project.name)
    try:
        made = write_zip(here.project, folder, to, name=name, states=states or EXPORTED, photos=photos)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, FormatError):
            raise StoreError(str(error).replace(str(folder), "")) from error
        raise
    return FileResponse(
        made,
        media_type="application/zip",
        filename=f"{name}-{to}.zip",
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )


@router.post("/import")
def import_file(here: Here, file: UploadFile) -> dict[str, Any]:
    """Add the photos, classes and annotations of a COCO file that are not in the project yet; change nothing."""
    with _on_disk(file) as path:
        try:
            return dataclasses.asdict(merge_coco(here.project, path))
        except (CocoError, StoreError) as error:
            raise StoreError(str(error).replace(str(path), "the uploaded file")) from error


@contextmanager
def _on_disk(file: UploadFile) -> Iterator[Path]:
    """The upload as a file, gone afterwards. Its name is ours: that of the client could be a path."""
    with tempfile.TemporaryDirectory(prefix="openseed-import-") as folder:
        path = Path(folder) / "upload.json"
        with path.open("wb") as stream:
            shutil.copyfileobj(file.file, stream)
        yield path


def _category(here: Here, record: CategoryRecord) -> dict[str, Any]:
    order = [category.id for category in projects.categories(here.project)]
    return category_json(record, order.index(record.id))


def _file_name(name: str) -> str:
    """A project's name as a file name that no system trips over."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name).strip("._") or "export"
