"""Accepted annotations of a project as training data, and a split that stays when more are accepted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mini_sets import box, image, masked, photos_beside, rectangle, save_photo, write

from app.store.acts import Update, commit
from app.store.annotations import annotations_of
from app.store.coco_import import import_coco
from app.store.database import open_database
from app.store.errors import StoreError
from app.store.outline import file_names
from app.store.projects import Project, categories, set_synonyms
from app.store.queue import set_reviewed
from app.training.data import DataError, PhotoSet
from app.training.from_project import project_set, read_project, split
from openseed_core.training.photos import PhotoRecord

PHOTOS = 3


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Each photo: a cat with a mask, a dog with a mask, a dog without, a crowd, and sky."""
    annotations = []
    for k in range(1, PHOTOS + 1):
        annotations += [
            masked(10 * k, k, 1, (5, 6, 20, 30)),
            masked(10 * k + 1, k, 2, (30, 10, 50, 35)),
            box(10 * k + 2, k, 2, (1, 1, 4, 4)),
            masked(10 * k + 3, k, 1, (50, 1, 58, 9), iscrowd=1),
            masked(10 * k + 4, k, 3, (20, 0, 28, 3)),
        ]
    source = write(
        tmp_path / "data.json",
        [image(k) for k in range(1, PHOTOS + 1)],
        annotations,
        [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "sky", "isthing": 0}],
    )
    photos_beside(source, *range(1, PHOTOS + 1))
    database = open_database(tmp_path / "project.db")
    try:
        yield import_coco(database, source, images_root=tmp_path / "images", name="mine")
    finally:
        database.close()


def set_state(project: Project, photo: int, rows: dict[int, str]) -> None:
    """``rows``: place of the annotation in its photo -> state."""
    image_id = list(file_names(project))[photo]
    found = annotations_of(project, image_id)
    changes = [Update(found[k].id, found[k].version, {"state": state}) for k, state in rows.items()]
    commit(project, changes, actor="ann", kind="accept", image_id=image_id)


def test_only_what_was_accepted_is_a_target(project: Project) -> None:
    set_state(project, 0, {0: "accepted", 4: "accepted"})
    data = read_project(project)
    assert data.names == ("cat", "dog", "sky")
    assert data.things == {0, 1}
    [record] = data.records
    assert record.key == "project 'mine': 1.png"
    assert record.labels.tolist() == [0, 2]
    assert record.boxes.tolist() == [[5, 6, 20, 30], [20, 0, 28, 3]]
    assert record.mask is not None
    np.testing.assert_array_equal(record.mask(0), rectangle(5, 6, 20, 30))
    assert record.ignored is not None
    waiting = rectangle(30, 10, 50, 35) | rectangle(1, 1, 4, 4) | rectangle(50, 1, 58, 9)
    np.testing.assert_array_equal(record.ignored(), waiting)
    assert record.annotated is not None
    assert record.annotated.tolist() == []
    assert "unfinished photos" in data.problems[0]


def test_reviewed_photos_are_complete_and_rejected_boxes_are_background(project: Project) -> None:
    set_state(project, 0, {0: "accepted", 1: "rejected", 2: "rejected"})
    set_reviewed(project, next(iter(file_names(project))), actor="ann", reviewed=True)
    [record] = read_project(project).records
    assert record.annotated is None
    assert record.ignored is not None
    assert not (record.ignored() & rectangle(30, 10, 50, 35)).any()


def test_photos_where_nothing_waits_are_finished(project: Project) -> None:
    set_state(project, 0, {0: "accepted", 1: "accepted", 2: "rejected", 3: "accepted", 4: "rejected"})
    data = read_project(project)
    assert data.records[0].annotated is None
    assert data.problems == ()


def test_accepted_boxes_without_masks_are_told_and_used_as_boxes(project: Project) -> None:
    set_state(project, 1, {0: "accepted", 2: "accepted"})
    data = read_project(project)
    assert data.records[0].labels.tolist() == [0]
    assert any("without a mask" in line and "2.png" in line for line in data.problems)
    boxes = read_project(project, masks=False).records[0]
    assert boxes.mask is None
    assert boxes.labels.tolist() == [0, 1]


def test_synonyms_of_the_project_are_used(project: Project, tmp_path: Path) -> None:
    set_state(project, 0, {0: "accepted"})
    set_synonyms(project, categories(project)[0].id, ["cat", "tabby"])
    data = project_set(tmp_path / "project.db")
    assert data.synonyms == (("cat", "tabby"), ("dog",), ("sky",))
    assert project_set(tmp_path / "project.db", leave_out=["dog"]).names == ("cat", "sky")


def test_photos_that_changed_or_are_gone_are_told(project: Project, tmp_path: Path) -> None:
    for photo in range(PHOTOS):
        set_state(project, photo, {0: "accepted"})
    (tmp_path / "images" / "1.png").unlink()
    save_photo(tmp_path / "images" / "2.png", width=33)
    data = read_project(project)
    assert [record.key for record in data.records] == ["project 'mine': 3.png"]
    text = "\n".join(data.problems)
    assert "1.png" in text
    assert "changed their size" in text


def test_a_project_with_nothing_accepted_is_an_error(project: Project, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no photo with an annotation"):
        project_set(tmp_path / "project.db")
    with pytest.raises(DataError, match="no such folder"):
        project_set(tmp_path / "project.db", images=tmp_path / "nowhere")
    with pytest.raises(StoreError, match="no such project"):
        project_set(tmp_path / "none.db")


def _many(n: int) -> PhotoSet:
    records = tuple(
        PhotoRecord(f"photo {k}", lambda: None, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), None)  # type: ignore[arg-type,return-value]
        for k in range(n)
    )
    return PhotoSet(records, ("cat",), (("cat",),), frozenset({0}))


def _keys(data: PhotoSet) -> set[str]:
    return {record.key for record in data.records}


def test_a_split_has_the_share_and_loses_nothing() -> None:
    data = _many(500)
    train, held = split(data, 0.2)
    assert 70 < len(held.records) < 130
    assert _keys(train) | _keys(held) == _keys(data)
    assert not _keys(train) & _keys(held)
    assert train.names == held.names == data.names
    assert _keys(split(data, 0.2, seed=1)[1]) != _keys(held)


def test_measured_photos_stay_measured_when_more_are_accepted() -> None:
    before, after = split(_many(60)), split(_many(400))
    assert _keys(before[1]) <= _keys(after[1])
    assert _keys(before[0]) <= _keys(after[0])


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_no_side_is_empty(n: int, share: float) -> None:
    train, held = split(_many(n), share)
    assert train.records
    assert held.records


def test_what_can_not_be_split_is_told() -> None:
    with pytest.raises(DataError, match="one photo"):
        split(_many(1))
    with pytest.raises(DataError, match="between 0 and 1"):
        split(_many(5), 1.0)
