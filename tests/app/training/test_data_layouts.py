"""COCO panoptic (JSON + PNG) and Objects365 in their real layouts, in miniature."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mini_sets import HEIGHT, WIDTH, box, image, photos_beside, rectangle, save_photo, write
from PIL import Image

from app.training.data import DataError, read_set
from openseed_core.training.photos import Jitter, draw_photo

CATEGORIES = [
    {"id": 1, "name": "person", "isthing": 1},
    {"id": 90, "name": "toothbrush", "isthing": 1},
    {"id": 118, "name": "floor-wood", "isthing": 0},
]


def save_ids(path: Path, ids: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16], -1).astype(np.uint8)).save(path)


def segment(id_: int, category_id: int, corners: tuple[int, int, int, int], **more: Any) -> dict[str, Any]:
    x0, y0, x1, y1 = corners
    found = {"id": id_, "category_id": category_id, "bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": 0}
    return {**found, "area": (x1 - x0) * (y1 - y0), **more}


def panoptic(folder: Path) -> Path:
    """Photo 1: a person, a crowd, floor, and void elsewhere. Photo 2: a toothbrush."""
    ids = np.zeros((HEIGHT, WIDTH), np.int64)
    ids[rectangle(5, 5, 20, 20)] = 70_000
    ids[rectangle(30, 5, 40, 15)] = 300
    ids[rectangle(0, 30, WIDTH, HEIGHT)] = 5
    save_ids(folder / "panoptic_train" / "1.png", ids)
    save_ids(folder / "panoptic_train" / "2.png", np.where(rectangle(1, 2, 30, 9), 8, 0))
    annotations = [
        {
            "image_id": 1,
            "file_name": "1.png",
            "segments_info": [
                segment(70_000, 1, (5, 5, 20, 20)),
                segment(300, 1, (30, 5, 40, 15), iscrowd=1),
                segment(5, 118, (0, 30, WIDTH, HEIGHT)),
            ],
        },
        {"image_id": 2, "file_name": "2.png", "segments_info": [segment(8, 90, (1, 2, 30, 9))]},
    ]
    path = write(folder / "panoptic_train.json", [image(1), image(2, partial=True)], annotations, CATEGORIES)
    photos_beside(path, 1, 2)
    return path


def test_panoptic_segments_become_things_and_stuff(tmp_path: Path) -> None:
    data = read_set(panoptic(tmp_path))
    assert data.names == ("person", "toothbrush", "floor-wood")
    assert data.synonyms == (("person",), ("toothbrush",), ("wood floor",))
    assert data.things == {0, 1}
    first, second = data.records
    assert first.labels.tolist() == [0, 2]
    assert first.boxes.tolist() == [[5, 5, 20, 20], [0, 30, WIDTH, HEIGHT]]
    assert first.mask is not None
    np.testing.assert_array_equal(first.mask(0), rectangle(5, 5, 20, 20))
    np.testing.assert_array_equal(first.mask(1), rectangle(0, 30, WIDTH, HEIGHT))
    assert first.ignored is not None
    covered = rectangle(5, 5, 20, 20) | rectangle(0, 30, WIDTH, HEIGHT)
    np.testing.assert_array_equal(first.ignored(), ~covered)  # the crowd, and void
    assert first.annotated is None
    assert second.annotated is not None
    assert second.annotated.tolist() == []
    assert second.mask is not None
    np.testing.assert_array_equal(second.mask(0), rectangle(1, 2, 30, 9))  # not the PNG that was read before
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(first)).mask(0), rectangle(5, 5, 20, 20))


def test_panoptic_boxes_only_are_those_of_things(tmp_path: Path) -> None:
    path = panoptic(tmp_path)
    data = read_set(path, masks=False)
    assert [record.labels.tolist() for record in data.records] == [[0], [1]]
    assert all(record.mask is None for record in data.records)
    assert read_set(path, leave_out=["wood floor"]).records[0].labels.tolist() == [0]


def test_panoptic_photos_that_lack_their_png_are_told(tmp_path: Path) -> None:
    path = panoptic(tmp_path)
    (tmp_path / "panoptic_train" / "2.png").unlink()
    data = read_set(path)
    assert len(data.records) == 1
    assert "2.png" in data.problems[0]
    save_ids(tmp_path / "panoptic_train" / "2.png", np.zeros((3, 3), np.int64))
    assert "another size" in read_set(path).problems[0]
    with pytest.raises(DataError, match="folder of PNGs"):
        read_set(path, pngs=tmp_path / "nowhere")


def test_panoptic_samples_can_be_drawn(tmp_path: Path) -> None:
    for record in read_set(panoptic(tmp_path)).records:
        sample = draw_photo(record, Jitter(size=64), np.random.default_rng(3))
        assert sample.masks is not None
        assert sample.ignored is not None
        assert not (sample.ignored & sample.masks.any(axis=0)).any()


@pytest.mark.parametrize("where", ["images/v2/patch16", "patch16", "train/patch16", "images/train/patch16"])
def test_objects365_photos_are_found_wherever_the_patches_were_unpacked(tmp_path: Path, where: str) -> None:
    name = "objects365_v2_00000001.png"
    path = write(
        tmp_path / "annotations" / "zhiyuan_objv2_train.json",
        [image(1, file_name=f"images/v2/patch16/{name}"), image(2, file_name="images/v1/patch3/gone.png")],
        [
            box(1, 1, 13, (5, 6, 20, 30), isfake=0, area=360),
            box(2, 1, 1, (5, 6, 20, 30), iscrowd=1),
            box(3, 2, 1, (1, 1, 9, 9)),
        ],
        [{"id": 1, "name": "Person"}, {"id": 13, "name": "Cabinet/shelf"}],
    )
    save_photo(tmp_path / where / name)
    data = read_set(tmp_path)
    assert data.names == ("Person", "Cabinet/shelf")
    assert data.synonyms == (("person",), ("cabinet", "shelf"))
    [record] = data.records
    assert record.mask is None
    assert record.labels.tolist() == [1]
    assert record.ignored is not None
    assert record.ignored().sum() == 15 * 24
    assert "gone.png" in data.problems[0]
    unpacked = tmp_path / where.removesuffix("/patch16").removesuffix("images/v2").removesuffix("patch16")
    assert read_set(path, images=unpacked).records  # what --images would say


def test_auto_tells_the_kinds_apart(tmp_path: Path) -> None:
    path = panoptic(tmp_path)
    assert read_set(path, kind="auto").things == read_set(path, kind="panoptic").things
    other = write(tmp_path / "x.json", [image(1)], [box(1, 1, 1, (5, 6, 20, 30))], CATEGORIES)
    with pytest.raises(ValueError, match="segments_info"):
        read_set(other, kind="panoptic")
