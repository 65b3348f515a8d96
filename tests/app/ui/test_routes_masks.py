"""Mending masks through the routes: repair, brush, fill, split, outline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from page_client import Browser

from app.store.acts import Update, commit
from app.store.annotations import annotation, annotations_of
from app.store.projects import Project
from exporters.masks import decode, encode


def put_mask(project: Project, mask: np.ndarray, number: int = 1) -> int:
    """Give an annotation of photo 1 this mask; returns its new version."""
    record = annotation(project, number)
    values = {"mask": encode(mask), "source": "human"}
    return (
        commit(project, [Update(number, record.version, values)], actor="ana", kind="mask", image_id=1)
        .annotations[0]
        .version
    )


def blank() -> np.ndarray:
    return np.zeros((48, 64), bool)


def mask_of(project: Project, number: int = 1) -> Any:
    mask = annotation(project, number).mask
    return None if mask is None else decode(mask)


def test_an_include_click_adds_and_an_exclude_click_takes_away(ana: Browser, project: Project) -> None:
    body: dict[str, Any] = {"version": 1, "x": 40.5, "y": 30.5, "include": True}
    done = ana.post("/api/annotations/1/repair", json=body)
    assert done.status_code == 200, done.text
    assert mask_of(project)[30, 40]
    version = done.json()["annotation"]["version"]
    ana.post("/api/annotations/1/repair", json={**body, "version": version, "x": 12.0, "y": 10.0})
    assert mask_of(project)[10, 12]
    ana.post("/api/annotations/1/repair", json={**body, "version": version + 1, "include": False})
    assert not mask_of(project)[30, 40]
    assert mask_of(project)[10, 12]
    assert annotation(project, 1).source == "human"


@pytest.mark.parametrize("point", [{"x": 64, "y": 3}, {"x": 3, "y": -0.1}, {"x": 1e300, "y": 3}, {"x": None, "y": 3}])
def test_a_click_beside_the_photo_is_refused(ana: Browser, project: Project, point: dict[str, Any]) -> None:
    answer = ana.post("/api/annotations/1/repair", json={"version": 1, "include": True, **point})
    assert answer.status_code == 422
    assert annotation(project, 1).version == 1


def test_the_brush_paints_and_erases_in_photo_pixels(ana: Browser, project: Project) -> None:
    line = {"points": [[10.5, 20.5], [30.5, 20.5]], "radius": 2.0, "erase": False}
    painted = ana.post("/api/annotations/1/stroke", json={"version": 1, **line}).json()["annotation"]
    assert painted["source"] == "human"
    assert painted["quality"] is None
    mask = mask_of(project)
    assert mask[20, 10:31].all()
    assert mask[18:23, 20].all()
    assert not mask[15, 20]
    ana.post("/api/annotations/1/stroke", json={"version": 2, **line, "radius": 10, "erase": True})
    assert mask_of(project) is None


@pytest.mark.parametrize(
    "change",
    [{"points": []}, {"points": [[1, 2]] * 5001}, {"radius": 0}, {"radius": 1e9}, {"points": [[1]]}, {"erase": "?"}],
)
def test_strokes_have_bounds(ana: Browser, change: dict[str, Any]) -> None:
    body = {"version": 1, "points": [[1, 2]], "radius": 2, "erase": False, **change}
    assert ana.post("/api/annotations/1/stroke", json=body).status_code == 422


def test_holes_are_filled(ana: Browser, project: Project) -> None:
    ring = blank()
    ring[10:20, 10:20] = True
    ring[13:16, 13:16] = False
    version = put_mask(project, ring)
    filled = ana.post("/api/annotations/1/fill", json={"version": version}).json()["annotation"]
    assert filled["area"] == 100
    again = ana.post("/api/annotations/1/fill", json={"version": filled["version"]})
    assert "no holes" in again.json()["error"]["message"]


def test_islands_become_annotations_of_their_own_in_one_act(ana: Browser, project: Project) -> None:
    islands = blank()
    islands[5:15, 5:15] = True
    islands[30:34, 40:50] = True
    islands[40, 2] = True
    version = put_mask(project, islands)
    done = ana.post("/api/annotations/1/split", json={"version": version}).json()
    assert [found["area"] for found in done["annotations"]] == [100, 40, 1]
    assert [found["box"] for found in done["annotations"]] == [[5, 5, 15, 15], [40, 30, 50, 34], [2, 40, 3, 41]]
    assert done["annotations"][0]["id"] == 1
    assert {found["category_id"] for found in done["annotations"]} == {1}
    assert len(annotations_of(project, 1)) == 4
    ana.post("/api/undo", json={})
    assert len(annotations_of(project, 1)) == 2
    assert (mask_of(project) == islands).all()


def test_what_is_in_one_piece_or_has_no_mask_is_not_split(ana: Browser, project: Project) -> None:
    assert "no mask" in ana.post("/api/annotations/1/split", json={"version": 1}).json()["error"]["message"]
    whole = blank()
    whole[5:15, 5:15] = True
    version = put_mask(project, whole)
    answer = ana.post("/api/annotations/1/split", json={"version": version})
    assert answer.status_code == 422
    assert "one piece" in answer.json()["error"]["message"]


def test_the_outline_says_how_well_it_still_fits(ana: Browser, project: Project) -> None:
    rows, columns = np.mgrid[:48, :64]
    disc = (rows - 24) ** 2 + (columns - 30) ** 2 <= 15**2
    disc &= ~((rows - 24) ** 2 + (columns - 30) ** 2 <= 5**2)
    put_mask(project, disc)
    exact = ana.get("/api/annotations/1/polygon").json()
    assert exact["iou"] == 1.0
    assert [ring["hole"] for ring in exact["polygons"]] == [False, True]
    rough = ana.get("/api/annotations/1/polygon?simplify=3").json()
    assert rough["points"] < exact["points"]
    assert 0.5 < rough["iou"] < 1.0
    for wrong in ("-1", "nan", "inf", "1e9", "x"):
        assert ana.get(f"/api/annotations/1/polygon?simplify={wrong}").status_code == 422
