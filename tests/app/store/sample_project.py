"""Small projects without files: photos of 40 x 30 pixels with boxes in a row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sqlalchemy import insert, select

from app.store.database import Database
from app.store.projects import Project, add_category, create_project
from app.store.schema import AnnotationRow, ImageRow
from exporters.masks import encode
from labelers.records import RLE

WIDTH, HEIGHT = 40, 30


def rectangle(x0: int, y0: int, x1: int, y1: int) -> RLE:
    """The mask of a rectangle of a sample photo."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y0:y1, x0:x1] = True
    return encode(mask)


def sample_project(
    database: Database,
    *,
    photos: int = 3,
    boxes: int = 2,
    classes: Sequence[str] = ("cat", "dog"),
    name: str = "sample",
) -> Project:
    """``boxes`` proposed boxes without masks on each photo, of the classes in turn, as an import would leave them."""
    project = create_project(database, name=name, images_root="/photos")
    categories = [add_category(project, text, actor="import") for text in classes]
    with database.writing() as session:
        images = [
            ImageRow(
                project_id=project.id,
                position=number,
                shuffle=(number * 7919) % 101,
                file_name=f"photo{number:05d}.png",
                width=WIDTH,
                height=HEIGHT,
                orientation=1,
                frame_orientation=1,
                frame_width=WIDTH,
                frame_height=HEIGHT,
            )
            for number in range(photos)
        ]
        session.add_all(images)
        session.flush()
        rows = [
            {
                "project_id": project.id,
                "image_id": image.id,
                "category_id": categories[k % len(categories)].id,
                "position": number * boxes + k,
                "version": 1,
                "state": "proposed",
                "author": "import",
                "source": "imported",
                "x0": 1.0 + k,
                "y0": 2.0,
                "x1": 5.0 + k,
                "y1": 8.0,
                "created_at": 0.0,
                "updated_at": 0.0,
            }
            for number, image in enumerate(images)
            for k in range(boxes)
        ]
        for start in range(0, len(rows), 5000):
            session.execute(insert(AnnotationRow.__table__), rows[start : start + 5000])
    return project


def image_ids(project: Project) -> list[int]:
    """In file order."""
    with project.database.reading() as session:
        mine = select(ImageRow.id).where(ImageRow.project_id == project.id).order_by(ImageRow.position)
        return list(session.scalars(mine))
