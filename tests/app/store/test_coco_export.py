"""Projects to COCO files: only what changed is rewritten, in the frame of the imported file."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_project import ODD, comparable, exported, photo, rectangle, save_odd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.store.acts import Change, Create, Delete, Update, commit
from app.store.annotations import annotation, annotations_of
from app.store.coco_export import ExportSummary, export_coco
from app.store.coco_import import import_coco
from app.store.database import Database, open_database
from app.store.images import list_images
from app.store.projects import Project, add_category, categories
from app.store.records import AnnotationRecord, State
from app.store.undo import undo
from exporters.masks import area, box_xyxy, decode, encode, from_coco
from labelers.orientation import array_to_raw, array_to_upright, swaps_sides

RING = [[4.0, 4.0, 30.0, 4.0, 30.0, 20.0]]
PHOTO = {"id": 1, "file_name": "a.png", "width": 64, "height": 48}
CATEGORIES = [{"id": 3, "name": "cat", "supercategory": "beast"}, {"id": 8, "name": "dog"}]


def save(folder: Path, annotations: list[Any], *, image: Mapping[str, Any] = PHOTO) -> Path:
    if not (folder / "a.png").exists():
        photo(folder / "a.png")
    path = folder / "in.json"
    path.write_text(json.dumps({"images": [image], "annotations": annotations, "categories": CATEGORIES}))
    return path


def box(key: Any, bbox: Any = (4, 4, 20, 10), **more: Any) -> dict[str, Any]:
    return {"id": key, "image_id": 1, "category_id": 3, "bbox": list(bbox), **more}


def loaded(database: Database, folder: Path, annotations: list[Any], **more: Any) -> Project:
    return import_coco(database, save(folder, annotations, **more), images_root=folder, name="p")


def found(project: Project) -> list[AnnotationRecord]:
    (only,) = list_images(project)
    return annotations_of(project, only.id)


def change(project: Project, one: AnnotationRecord, **values: Any) -> AnnotationRecord:
    done = commit(project, [Update(one.id, one.version, values)], actor="Ann", kind="update", image_id=one.image_id)
    return done.annotations[0]


def make(project: Project, **values: Any) -> AnnotationRecord:
    (only,) = list_images(project)
    return commit(project, [Create(values)], actor="Ann", kind="create", image_id=only.id).annotations[0]


def result(project: Project, folder: Path, **options: Any) -> list[dict[str, Any]]:
    return exported(project, folder, **options)["annotations"]


def test_a_box_that_was_moved(database: Database, tmp_path: Path) -> None:
    old = [box(1, area=200, note="x"), box(2, area=77), box(3, area=5, segmentation=RING), box(4)]
    project = loaded(database, tmp_path, old)
    for one in found(project)[:3]:
        change(project, one, box=(5, 6, 15.1, 26.7))
    new = result(project, tmp_path, provenance=False)
    moved = {"bbox": [5, 6, 10.1, 20.7]}
    assert new[0] == {**old[0], **moved, "area": 10.1 * 20.7}  # the area was that of the box
    assert new[1] == {**old[1], **moved}  # it was somebody's own
    assert new[2] == {**old[2], **moved}  # it is that of the mask
    assert new[3] == old[3]
    assert list(new[0]) == list(old[0])


def test_a_new_mask(database: Database, tmp_path: Path) -> None:
    old = [box(1, area=200), box(2, area=333, segmentation=RING), box(3, segmentation=[], area=77)]
    project = loaded(database, tmp_path, old)
    for one in found(project):
        change(project, one, mask=rectangle(5, 6, 15, 26), source="model:nano", quality=0.5)
    new = result(project, tmp_path)
    assert [one["area"] for one in new] == [200, 200, 77]  # 10 x 20, and an area that was somebody's own
    for one in new:
        mask = from_coco(one["segmentation"], 48, 64)
        assert mask is not None
        assert box_xyxy(mask).tolist() == [5, 6, 15, 26]
        assert one["bbox"] == [4, 4, 20, 10]
        assert one["openseed_label"] == {
            "labeler": "nano",
            "score": 0.5,
            "source": "model:nano",
            "state": "proposed",
            "author": "Ann",
        }


def test_a_mask_that_was_taken_away(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path, [box(1, area=208, segmentation=RING)])
    change(project, found(project)[0], mask=None)
    assert result(project, tmp_path, provenance=False) == [box(1, area=200, segmentation=[])]


def test_form_and_simplify_are_obeyed(database: Database, tmp_path: Path) -> None:
    ys, xs = np.mgrid[:48, :64]
    disc = (xs - 30.5) ** 2 + (ys - 24.5) ** 2 < 20**2
    ring = disc & ((xs - 30.5) ** 2 + (ys - 24.5) ** 2 > 5**2)
    project = loaded(database, tmp_path, [box(1), box(2), box(3), box(4)])
    for one, values in zip(
        found(project),
        (
            {"mask": encode(disc), "simplify": 0.0},
            {"mask": encode(disc), "simplify": 2.0},
            {"mask": encode(ring), "form": "auto"},
            {"mask": encode(ring), "form": "polygon"},
        ),
        strict=True,
    ):
        change(project, one, **values)
    exact, simple, holed, filled = result(project, tmp_path)
    assert exact["area"] == disc.sum()
    assert len(simple["segmentation"][0]) < len(exact["segmentation"][0]) / 3
    for one in (exact, simple, holed, filled):
        mask = from_coco(one["segmentation"], 48, 64)
        assert mask is not None
        assert one["area"] == area(mask)
    assert simple["area"] != exact["area"]
    assert isinstance(holed["segmentation"], dict)
    assert holed["area"] == ring.sum()
    assert filled["area"] == disc.sum()
    # the polygon settings alone, changed later
    change(project, found(project)[0], simplify=2.0)
    assert result(project, tmp_path)[0]["segmentation"] == simple["segmentation"]


def test_an_rle_stays_an_rle(database: Database, tmp_path: Path) -> None:
    rle = {"size": [48, 64], "counts": [48 * 10 + 5, 20, 48 * 54 - 25]}
    project = loaded(database, tmp_path, [box(1, segmentation=rle)])
    change(project, found(project)[0], mask=rectangle(5, 6, 15, 26))
    segmentation = result(project, tmp_path)[0]["segmentation"]
    assert isinstance(segmentation["counts"], str)
    assert segmentation["size"] == [48, 64]


def test_another_class_and_a_new_one(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path, [box(1), box(2)])
    first, second = found(project)
    bird = add_category(project, "bird", actor="Ann")
    change(project, first, category_id=categories(project)[1].id)
    change(project, second, category_id=bird.id)
    content = exported(project, tmp_path, provenance=False)
    assert content["categories"] == [*CATEGORIES, {"id": 9, "name": "bird"}]
    assert content["annotations"] == [{**box(1), "category_id": 8}, {**box(2), "category_id": 9}]


def test_a_class_without_a_usable_id_gets_one_when_it_is_used(database: Database, tmp_path: Path) -> None:
    project = import_coco(database, save_odd(tmp_path), images_root=tmp_path, name="odd")
    (first,) = [one for one in list_images(project) if one.file_name == "a.png"]
    one = annotations_of(project, first.id)[0]
    known = {record.position: record.id for record in categories(project)}
    change(project, one, category_id=known[2])  # the first of two classes with id 6
    content = exported(project, tmp_path, provenance=False)
    odd = json.loads(ODD)
    assert content["categories"][2] == {"id": 7, "name": "cat"}
    assert comparable([c for k, c in enumerate(content["categories"]) if k != 2]) == comparable(
        [c for k, c in enumerate(odd["categories"]) if k != 2]
    )
    assert content["annotations"][0] == {**odd["annotations"][0], "category_id": 7}
    assert comparable(content["annotations"][1:]) == comparable(odd["annotations"][1:])


def test_photos_without_a_usable_id_get_one_when_they_are_labelled(database: Database, tmp_path: Path) -> None:
    project = import_coco(database, save_odd(tmp_path), images_root=tmp_path, name="odd")
    by_position = {one.position: one for one in list_images(project)}
    for position in (6, 7):  # no id, and the first of two photos with id 11
        commit(
            project,
            [Create({"box": (1, 1, 9, 9)})],
            actor="Ann",
            kind="create",
            image_id=by_position[position].id,
        )
    content = exported(project, tmp_path)
    assert content["images"][6] == {"file_name": "no id.png", "width": 64, "height": 48, "id": 13}
    assert content["images"][7] == {"id": 14, "file_name": "twin.png"}
    assert content["images"][8] == {"id": 11, "file_name": "twin.png", "n": 2}
    assert [one["image_id"] for one in content["annotations"][-2:]] == [13, 14]


def test_new_annotations_come_last_with_new_ids(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path, [box(40), box("x"), box(7)])
    make(project, box=(1, 2, 11, 7), category_id=categories(project)[1].id)
    gone = make(project, box=(1, 2, 11, 7))
    make(project, mask=rectangle(5, 6, 15, 26))
    new = result(project, tmp_path)
    assert [one["id"] for one in new] == [40, "x", 7, 41, 42, 43]
    said = {"source": "human", "state": "proposed", "author": "Ann"}
    assert new[3] == {
        "id": 41,
        "image_id": 1,
        "category_id": 8,
        "bbox": [1, 2, 10, 5],
        "area": 50,
        "iscrowd": 0,
        "segmentation": [],
        "openseed_label": said,
    }
    assert (new[5]["bbox"], new[5]["area"]) == ([5, 6, 10, 20], 200)
    commit(project, [Delete(gone.id, gone.version)], actor="Ann", kind="delete", image_id=gone.image_id)
    assert [one["id"] for one in result(project, tmp_path)] == [40, "x", 7, 41, 43]  # the others keep theirs


def test_rejected_and_deleted_ones_are_left_out(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path, [box(k) for k in range(1, 6)])
    one, two, three, four, _ = found(project)
    for record, state in ((one, "accepted"), (two, "rejected"), (three, "needs work")):
        change(project, record, state=state)
    commit(project, [Delete(four.id, four.version)], actor="Ann", kind="delete", image_id=four.image_id)
    heard: list[None] = []
    summary = export_coco(project, tmp_path / "out.json", on_annotation=lambda: heard.append(None))
    assert summary == ExportSummary(images=1, annotations=3, left_out=1)
    assert len(heard) == 4
    assert [one["id"] for one in result(project, tmp_path)] == [1, 3, 5]
    assert [one["id"] for one in result(project, tmp_path, states=[State.ACCEPTED])] == [1]
    assert [one["id"] for one in result(project, tmp_path, states=list(State))] == [1, 2, 3, 5]


def test_states_survive_a_round_trip(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path, [box(k, segmentation=RING) for k in range(4)])
    for record, state in zip(found(project), State, strict=True):
        change(project, record, state=state.value, quality=0.25)
    exported(project, tmp_path, states=list(State))
    again = import_coco(database, tmp_path / "exported.json", images_root=tmp_path, name="again")
    (only,) = list_images(again)
    read = annotations_of(again, only.id)
    assert [one.state for one in read] == list(State)
    assert {(one.author, one.quality, one.source) for one in read} == {("Ann", 0.25, "imported")}
    first = (tmp_path / "exported.json").read_bytes()
    exported(again, tmp_path, states=list(State))
    assert (tmp_path / "exported.json").read_bytes() == first


def test_provenance_of_another_tool_run_is_kept_beside_the_state(database: Database, tmp_path: Path) -> None:
    said = {"labeler": "conditioned", "version": "3", "score": 0.75, "bbox": [1, 2, 3, 4]}
    project = loaded(database, tmp_path, [box(1, segmentation=RING, openseed_label=said)])
    accepted = change(project, found(project)[0], state="accepted")
    assert result(project, tmp_path)[0]["openseed_label"] == {
        **said,
        "source": "model:conditioned",
        "state": "accepted",
        "author": "Ann",
    }
    change(project, accepted, mask=rectangle(1, 1, 9, 9), source="human", quality=None)
    assert result(project, tmp_path)[0]["openseed_label"] == {
        "source": "human",
        "state": "accepted",
        "author": "Ann",
    }


def test_undone_work_leaves_no_trace(database: Database, tmp_path: Path) -> None:
    old = [box(1, area=200), box(2, segmentation=RING)]
    project = loaded(database, tmp_path, old)
    first, second = found(project)
    change(project, first, box=(1, 1, 5, 5), state="accepted")
    change(project, second, mask=None)
    make(project, box=(1, 2, 11, 7))
    for _ in range(3):
        undo(project, actor="Ann")
    assert result(project, tmp_path) == old


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotated_photos_get_their_values_in_the_frame_of_the_file(
    database: Database, tmp_path: Path, orientation: int
) -> None:
    photo(tmp_path / "a.png", orientation=orientation)  # 64 x 48 raw
    project = loaded(database, tmp_path, [box(1, (10, 20, 8, 4)), box(2, (10, 20, 8, 4))])
    sides = (48, 64) if swaps_sides(orientation) else (64, 48)
    first, second = found(project)
    raw = np.zeros((48, 64), bool)
    raw[21:25, 11:20] = True
    if not swaps_sides(orientation):  # raw and upright sizes are equal, so the file's boxes count as upright
        raw_of = upright_of = raw
    else:
        upright_of = np.ascontiguousarray(array_to_upright(raw, orientation))
        raw_of = np.ascontiguousarray(array_to_raw(upright_of, orientation))
        assert (raw_of == raw).all()
    assert upright_of.shape == sides[::-1]
    tight = tuple(box_xyxy(encode(upright_of)).tolist())
    change(project, first, mask=encode(upright_of), box=tight)
    new = result(project, tmp_path, provenance=False)
    assert new[0]["bbox"] == [11, 21, 9, 4]
    mask = from_coco(new[0]["segmentation"], 48, 64)
    assert mask is not None
    assert (decode(mask) == raw_of).all()
    assert new[1] == box(2, (10, 20, 8, 4))
    assert second.box is not None


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    corner=st.tuples(st.floats(0, 40), st.floats(0, 30)),
    size=st.tuples(st.floats(0.5, 20), st.floats(0.5, 15)),
    orientation=st.integers(1, 8),
)
def test_a_box_is_exact_to_a_ten_thousandth_of_a_pixel(
    migrated_sqlite: Path,
    tmp_path: Path,
    corner: tuple[float, float],
    size: tuple[float, float],
    orientation: int,
) -> None:
    """Through the upright frame and back, without rounding to whole pixels on the way."""
    shutil.copy(migrated_sqlite, tmp_path / "any.db")
    photo(tmp_path / "a.png", orientation=orientation)
    database = open_database(tmp_path / "any.db")
    try:
        project = loaded(database, tmp_path, [box(1, (*corner, *size))])
        one = found(project)[0]
        assert one.box is not None
        # to another place and back, so that it counts as changed
        moved = change(project, one, box=(one.box[0], one.box[1], one.box[2], one.box[3] + 1))
        change(project, moved, box=one.box)
        np.testing.assert_allclose(result(project, tmp_path)[0]["bbox"], [*corner, *size], atol=1e-4)
    finally:
        database.close()


def test_the_same_content_gives_the_same_bytes(database: Database, tmp_path: Path) -> None:
    project = import_coco(database, save_odd(tmp_path), images_root=tmp_path, name="odd")
    (first,) = [one for one in list_images(project) if one.file_name == "a.png"]
    for one in annotations_of(project, first.id):
        change(project, one, state="accepted")
    stream = io.BytesIO()
    summary = export_coco(project, stream)
    assert export_coco(project, tmp_path / "out.json") == summary
    assert (tmp_path / "out.json").read_bytes() == stream.getvalue()


def test_an_export_that_fails_leaves_the_old_file(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path, [box(1)])
    out = tmp_path / "out.json"
    out.write_text("precious")

    def break_off() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_coco(project, out, on_annotation=break_off)
    assert out.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["in.json", "out.json"]
    assert not list(tmp_path.glob(".out*"))


def test_an_export_is_of_one_moment(database: Database, tmp_path: Path) -> None:
    """An annotator who goes on meanwhile is not in it, in whole or in part."""
    project = loaded(database, tmp_path, [box(k) for k in range(1, 4)])
    records = found(project)
    done: list[Change] = []

    def go_on() -> None:
        if not done:
            done.append(Update(records[2].id, records[2].version, {"box": (1, 1, 2, 2)}))
            commit(project, done, actor="Ann", kind="update", image_id=records[2].image_id)
            make(project, box=(1, 2, 11, 7))

    stream = io.BytesIO()
    export_coco(project, stream, on_annotation=go_on)
    assert json.loads(stream.getvalue())["annotations"] == [box(k) for k in range(1, 4)]
    assert len(result(project, tmp_path)) == 4
    assert annotation(project, records[2].id).box == (1, 1, 2, 2)


def test_a_file_without_classes_gets_them_when_there_are_some(database: Database, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    path = tmp_path / "in.json"
    path.write_text(json.dumps({"annotations": [box(1)], "images": [PHOTO], "info": {}}))
    project = import_coco(database, path, images_root=tmp_path, name="p")
    assert exported(project, tmp_path) == json.loads(path.read_text())
    add_category(project, "cat", actor="Ann")
    content = exported(project, tmp_path)
    assert list(content) == ["annotations", "images", "info", "categories"]
    assert content["categories"] == [{"id": 1, "name": "cat"}]


def test_crowds_can_be_declared(database: Database, tmp_path: Path) -> None:
    project = loaded(database, tmp_path, [box(1, iscrowd=0), box(2, iscrowd=1)])
    for one in found(project):
        change(project, one, iscrowd=not one.iscrowd)
    assert [one["iscrowd"] for one in result(project, tmp_path)] == [1, 0]
