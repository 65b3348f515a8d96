"""COCO files into projects: what is kept, what is understood, and that a broken import leaves nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_project import ODD, comparable, exported, photo, save_odd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.store.annotations import annotations_of
from app.store.coco_import import import_coco
from app.store.database import Database, open_database
from app.store.errors import StoreError
from app.store.images import image, list_images
from app.store.projects import Project, categories, projects
from app.store.records import AnnotationRecord, ImageRecord, State
from exporters.coco import CocoError
from exporters.masks import area, box_xyxy, decode


def odd_project(database: Database, folder: Path, **options: Any) -> Project:
    return import_coco(database, save_odd(folder), images_root=folder, name="odd", **options)


def photos(project: Project) -> dict[str, ImageRecord]:
    return {summary.file_name: image(project, summary.id) for summary in list_images(project)}


def of(project: Project, file_name: str) -> list[AnnotationRecord]:
    return annotations_of(project, photos(project)[file_name].id)


def test_what_goes_in_comes_out(database: Database, tmp_path: Path) -> None:
    project = odd_project(database, tmp_path)
    assert comparable(exported(project, tmp_path)) == comparable(json.loads(ODD))
    assert comparable(exported(project, tmp_path, provenance=False)) == comparable(json.loads(ODD))


def test_number_text_and_key_order_of_elements_survive(database: Database, tmp_path: Path) -> None:
    project = odd_project(database, tmp_path)
    exported(project, tmp_path)
    text = (tmp_path / "exported.json").read_text()
    for piece in (
        '"bbox": [10.0, 12.50, 2e1, 16]',
        '{"year": 2024, "é": 1e3, "contributor": "\\u65e5"}',
        '"height":48.0',
    ):
        assert piece in text


def test_the_same_import_again_exports_the_same_bytes(database: Database, tmp_path: Path) -> None:
    project = odd_project(database, tmp_path)
    exported(project, tmp_path)
    first = (tmp_path / "exported.json").read_bytes()
    again = import_coco(database, tmp_path / "exported.json", images_root=tmp_path, name="again")
    exported(again, tmp_path)
    assert (tmp_path / "exported.json").read_bytes() == first


def test_photos_have_their_upright_size_and_the_frame_of_the_file(database: Database, tmp_path: Path) -> None:
    found = photos(odd_project(database, tmp_path))
    assert len(found) == 10  # of twins one is seen here
    plain, raw, upright = found["a.png"], found["raw6.png"], found["up6.png"]
    assert (plain.width, plain.height, plain.orientation, plain.problem) == (64, 48, 1, None)
    assert (raw.width, raw.height, raw.orientation) == (48, 64, 6)
    assert (raw.frame_orientation, raw.frame_width, raw.frame_height) == (6, 64, 48)
    assert (upright.width, upright.height, upright.orientation) == (48, 64, 6)
    assert (upright.frame_orientation, upright.frame_width, upright.frame_height) == (1, 48, 64)
    missing = found["missing.png"]
    assert (missing.width, missing.height) == (64, 48)
    assert missing.problem == "the photo is not in the image folder"
    assert (found["missing too.png"].width, found["missing too.png"].height) == (0, 0)
    escaping = found["../../etc/passwd"]
    assert escaping.width == 0
    assert "'..'" in (escaping.problem or "")


def test_boxes_and_masks_are_upright(database: Database, tmp_path: Path) -> None:
    (found,) = of(odd_project(database, tmp_path), "raw6.png")
    # raw 64 x 48, turned a quarter clockwise: x' = 48 - y, y' = x
    assert found.box == (48 - 49, 4, 48 - 40, 14)
    assert found.mask is not None
    assert found.mask["size"] == [64, 48]
    x0, y0, x1, y1 = box_xyxy(found.mask).tolist()
    assert (x0, x1) == (0, 7)
    assert 4 <= y0 < y1 <= 12


def test_boxes_keep_the_precision_of_the_file(database: Database, tmp_path: Path) -> None:
    found = of(odd_project(database, tmp_path), "a.png")
    assert [one.box for one in found] == [(10, 12.5, 30, 28.5), (3, 4, 8, 10), (3, 4, 8, 10), None]
    assert [one.category_id is None for one in found] == [False, False, True, False]


def test_what_cannot_be_read_is_kept_as_text_and_told(database: Database, tmp_path: Path) -> None:
    notes: list[str] = []
    project = odd_project(database, tmp_path, on_note=notes.append)
    found = of(project, "up6.png")
    assert [one.box for one in found] == [(0, 0, 9, 9), None, None, (5, 6, 12, 14)]
    assert [one.mask is None for one in found] == [True, True, True, True]
    told = "\n".join(notes)
    assert "2 segmentations that can't be read (their text is kept): annotation 21 (RLE size is [48, 64]" in told
    assert "annotation ids used twice" in told
    assert "1 annotations that are no objects" in told


def test_crowds_and_forms(database: Database, tmp_path: Path) -> None:
    found = of(odd_project(database, tmp_path), "up6.png")
    assert [one.iscrowd for one in found] == [True, False, False, False]


def test_a_missing_photo_of_known_size_keeps_its_masks(database: Database, tmp_path: Path) -> None:
    (found,) = of(odd_project(database, tmp_path), "missing.png")
    assert found.mask is not None
    assert found.mask["size"] == [48, 64]
    assert area(found.mask) > 0


def test_twins_among_the_classes(database: Database, tmp_path: Path) -> None:
    project = odd_project(database, tmp_path)
    known = categories(project)
    assert [one.name for one in known] == ["cat", "dog", "cat", "last of its id", "no id", ""]
    assert len({one.colour for one in known}) == 6
    assert {one.category_id for one in of(project, "up6.png")} == {known[3].id}  # the last of one id counts
    assert of(project, "sub/b.png")[0].category_id == known[1].id


def test_everything_starts_as_a_proposal_of_the_import(database: Database, tmp_path: Path) -> None:
    for one in of(odd_project(database, tmp_path), "a.png"):
        assert (one.state, one.source, one.author, one.version) == (State.PROPOSED, "imported", "import", 1)
        assert (one.quality, one.form, one.simplify) == (None, "auto", 0)


def small(folder: Path, annotations: list[Any], **more: Any) -> Path:
    photo(folder / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}],
        **more,
    }
    path = folder / "small.json"
    path.write_text(json.dumps(content))
    return path


def test_provenance_says_what_an_annotation_was(database: Database, tmp_path: Path) -> None:
    mask = [[4, 4, 20, 4, 20, 20]]
    said: list[Any] = [
        {"labeler": "conditioned", "version": "3", "score": 0.75},
        {"source": "model:nano", "state": "accepted", "author": "Ann", "score": 1},
        {"source": "human", "state": "needs work"},
        {"source": "alien", "state": "perfect", "author": "a\nb", "score": 10**400, "labeler": 3},
        "text",
    ]
    annotations = [
        {"id": k, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "segmentation": mask, "openseed_label": value}
        for k, value in enumerate(said)
    ]
    path = small(tmp_path, annotations)
    project = import_coco(database, path, images_root=tmp_path, name="p")
    found = of(project, "a.png")
    assert [(one.source, one.state.value, one.author, one.quality) for one in found] == [
        ("model:conditioned", "proposed", "import", 0.75),
        ("model:nano", "accepted", "Ann", 1.0),
        ("human", "needs work", "import", None),
        ("imported", "proposed", "import", None),
        ("imported", "proposed", "import", None),
    ]
    assert exported(project, tmp_path) == json.loads(path.read_text())
    bare = exported(project, tmp_path, provenance=False)["annotations"]
    assert [one for one in bare if "openseed_label" in one] == []


def test_a_polygon_that_only_repeats_the_box_is_no_mask(database: Database, tmp_path: Path) -> None:
    ring = [[1, 1, 10, 1, 10, 10, 1, 10]]
    path = small(tmp_path, [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "segmentation": ring}])
    project = import_coco(database, path, images_root=tmp_path, name="p")
    assert of(project, "a.png")[0].mask is None


def test_an_rle_stays_an_rle(database: Database, tmp_path: Path) -> None:
    rle = {"size": [48, 64], "counts": [48 * 10 + 5, 20, 48 * 54 - 25]}
    path = small(tmp_path, [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 5, 1, 20], "segmentation": rle}])
    (found,) = of(import_coco(database, path, images_root=tmp_path, name="p"), "a.png")
    assert found.form == "rle"
    assert found.mask is not None
    assert np.argwhere(decode(found.mask)).tolist() == [[y, 10] for y in range(5, 25)]


def test_a_name_that_is_taken_changes_nothing(database: Database, tmp_path: Path) -> None:
    path = small(tmp_path, [])
    import_coco(database, path, images_root=tmp_path, name="p")
    with pytest.raises(StoreError, match="'p'"):
        import_coco(database, path, images_root=tmp_path, name="p")
    assert [record.name for record in projects(database)] == ["p"]


def test_two_projects_live_in_one_database(database: Database, tmp_path: Path) -> None:
    path = small(tmp_path, [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}])
    first = import_coco(database, path, images_root=tmp_path, name="one")
    second = odd_project(database, tmp_path)
    assert exported(first, tmp_path) == json.loads(path.read_text())
    assert comparable(exported(second, tmp_path)) == comparable(json.loads(ODD))


@pytest.mark.parametrize(
    ("text", "error"),
    [("{", CocoError), ('{"images": []}', CocoError), ('[{"image_id": 1}]', CocoError)],
)
def test_no_coco_file_is_refused(database: Database, tmp_path: Path, text: str, error: type[Exception]) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(error, match=r"bad\.json"):
        import_coco(database, path, images_root=tmp_path, name="p")
    assert projects(database) == []


def test_a_folder_that_is_not_there_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="--images"):
        import_coco(database, small(tmp_path, []), images_root=tmp_path / "nowhere", name="p")


def test_an_import_that_fails_half_way_leaves_nothing(database: Database, tmp_path: Path) -> None:
    path = small(tmp_path, [{"id": k, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]} for k in range(2500)])
    heard = 0

    def break_off() -> None:
        nonlocal heard
        heard += 1
        if heard == 2000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_coco(database, path, images_root=tmp_path, name="p", on_annotation=break_off)
    assert projects(database) == []
    project = import_coco(database, path, images_root=tmp_path, name="p")
    assert len(of(project, "a.png")) == 2500


def test_a_file_that_changes_meanwhile_is_refused(database: Database, tmp_path: Path) -> None:
    path = small(tmp_path, [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}])
    with pytest.raises(CocoError, match="changed"):
        import_coco(
            database,
            path,
            images_root=tmp_path,
            name="p",
            on_annotation=lambda: path.write_text(path.read_text() + " "),
        )
    assert projects(database) == []


@pytest.mark.slow
def test_a_killed_import_leaves_nothing(database: Database, database_url: str, tmp_path: Path) -> None:
    path = small(tmp_path, [{"id": k, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]} for k in range(5000)])
    program = f"""
        import os, signal
        from pathlib import Path
        from app.store.coco_import import import_coco
        from app.store.database import open_database
        heard = 0
        def kill():
            global heard
            heard += 1
            if heard == 4500:
                os.kill(os.getpid(), signal.SIGKILL)
        import_coco(open_database({database_url!r}), Path({str(path)!r}), images_root=Path({str(tmp_path)!r}),
                    name="p", on_annotation=kill)
    """
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=root, env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    again = open_database(database_url)
    try:
        assert projects(again) == []
        assert len(of(import_coco(again, path, images_root=tmp_path, name="p"), "a.png")) == 5000
    finally:
        again.close()


NUMBERS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=3), st.just([]), st.just({})
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.lists(NUMBERS, min_size=1, max_size=4),
    annotations=st.lists(
        st.fixed_dictionaries(
            {"id": NUMBERS},
            optional={
                "image_id": NUMBERS,
                "category_id": NUMBERS,
                "bbox": st.one_of(NUMBERS, st.lists(NUMBERS, max_size=5)),
                "segmentation": st.one_of(
                    NUMBERS,
                    st.lists(st.lists(NUMBERS, max_size=8), max_size=2),
                    st.fixed_dictionaries({"size": st.just([48, 64]), "counts": st.one_of(NUMBERS, st.lists(NUMBERS))}),
                ),
                "iscrowd": NUMBERS,
                "openseed_label": st.one_of(NUMBERS, st.dictionaries(st.sampled_from(["state", "score"]), NUMBERS)),
            },
        ),
        max_size=5,
    ),
)
def test_any_values_survive(migrated_sqlite: Path, tmp_path: Path, ids: list[Any], annotations: list[Any]) -> None:
    """SQLite alone, for speed: what a database does to text is tested above."""
    shutil.copy(migrated_sqlite, tmp_path / "any.db")
    content = {
        "images": [{"id": key, "file_name": "a.png", "width": 64, "height": 48} for key in ids],
        "annotations": annotations,
        "categories": [{"id": key, "name": key} for key in ids],
    }
    path = tmp_path / "any.json"
    path.write_text(json.dumps(content))
    database = open_database(tmp_path / "any.db")
    try:
        project = import_coco(database, path, images_root=tmp_path, name="p")
        assert comparable(exported(project, tmp_path)) == comparable(json.loads(path.read_text()))
    finally:
        database.close()
