"""COCO as training data: masks, boxes, stuff, crowds, partial photos, and records that are wrong."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mini_sets import HEIGHT, WIDTH, box, classes, image, masked, photos_beside, rectangle, save_photo, write

from app.training.data import DataError, PhotoSet, read_set, training_name
from app.training.data.classes import slash_synonyms
from exporters.coco import CocoError
from openseed_core.training.photos import Jitter, draw_photo


def one(tmp_path: Path, annotations: list[Any], **options: Any) -> PhotoSet:
    """One photo, classes cat and dog."""
    path = write(tmp_path / "annotations.json", [image(1)], annotations, classes("cat", "dog"))
    photos_beside(path, 1)
    return read_set(tmp_path, **options)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("wall-other-merged", "wall"),
        ("floor-wood", "wood floor"),
        ("window-blind", "blind window"),
        ("mirror-stuff", "mirror"),
        ("sky", "sky"),
    ],
)
def test_stuff_is_renamed_for_training_only(name: str, expected: str) -> None:
    assert training_name(name) == expected


def test_objects365_names_are_split_and_lowered() -> None:
    assert slash_synonyms("Cabinet/shelf") == ("cabinet", "shelf")
    assert slash_synonyms("Person") == ("person",)


def test_a_photo_comes_with_its_boxes_labels_and_masks(tmp_path: Path) -> None:
    data = one(tmp_path, [masked(1, 1, 2, (5, 6, 20, 30)), masked(2, 1, 1, (30, 10, 50, 35))])
    assert data.names == ("cat", "dog")
    assert data.synonyms == (("cat",), ("dog",))
    assert data.things == {0, 1}
    assert data.problems == ()
    [record] = data.records
    assert record.key == "annotations.json: image 1 (1.png)"
    assert record.pixels().shape == (HEIGHT, WIDTH, 3)
    assert record.boxes.tolist() == [[5, 6, 20, 30], [30, 10, 50, 35]]
    assert record.labels.tolist() == [1, 0]
    assert record.mask is not None
    np.testing.assert_array_equal(record.mask(1), rectangle(30, 10, 50, 35))
    assert record.ignored is None
    assert record.annotated is None


def test_records_reach_other_processes(tmp_path: Path) -> None:
    data = one(tmp_path, [masked(1, 1, 2, (5, 6, 20, 30)), masked(2, 1, 1, (1, 1, 9, 9), iscrowd=1)])
    there = pickle.loads(pickle.dumps(data.records[0]))
    first, second = (draw_photo(r, Jitter(size=32), np.random.default_rng(0)) for r in (there, data.records[0]))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.masks, second.masks)
    assert first.ignored is not None


def test_crowds_are_ignored_regions(tmp_path: Path) -> None:
    data = one(tmp_path, [masked(1, 1, 2, (5, 6, 20, 30)), masked(2, 1, 1, (30, 10, 50, 35), iscrowd=1)])
    [record] = data.records
    assert record.labels.tolist() == [1]
    assert record.ignored is not None
    np.testing.assert_array_equal(record.ignored(), rectangle(30, 10, 50, 35))


def test_objects_without_a_mask_are_ignored_with_masks_and_targets_without(tmp_path: Path) -> None:
    data = one(tmp_path, [masked(1, 1, 2, (5, 6, 20, 30)), box(77, 1, 1, (30, 10, 50, 35))])
    [record] = data.records
    assert record.labels.tolist() == [1]
    assert "annotation 77 of image 1 (1.png)" in data.problems[0]
    assert "openseed-label assist" in data.problems[0]
    whole = Jitter(size=WIDTH, scale=(1.0, 1.0), flip=0.0)
    sample = draw_photo(record, whole, np.random.default_rng(0))
    assert sample.ignored is not None
    np.testing.assert_array_equal(sample.ignored[:HEIGHT], rectangle(30, 10, 50, 35))
    bare = draw_photo(record.without_masks(), whole, np.random.default_rng(0))
    assert bare.labels.tolist() == [1, 0]
    assert bare.ignored is None


def test_masks_false_strips_masks_and_stuff(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.json",
        [image(1)],
        [masked(1, 1, 1, (5, 6, 20, 30)), masked(2, 1, 2, (0, 0, 60, 5))],
        [{"id": 1, "name": "cat"}, {"id": 2, "name": "sky", "isthing": 0}],
    )
    photos_beside(path, 1)
    assert read_set(path).records[0].labels.tolist() == [0, 1]
    assert read_set(path).things == {0}
    bare = read_set(path, masks=False)
    assert bare.records[0].mask is None
    assert bare.records[0].labels.tolist() == [0]


def test_boxes_only_files_are_recognised(tmp_path: Path) -> None:
    data = one(tmp_path, [box(1, 1, 2, (5, 6, 20, 30)), box(2, 1, 1, (-5, 10, 50, 99))])
    [record] = data.records
    assert record.mask is None
    assert record.boxes.tolist() == [[5, 6, 20, 30], [0, 10, 50, 40]]  # cut to the photo


def test_the_stuff_file_beside_is_joined(tmp_path: Path) -> None:
    write(
        tmp_path / "annotations.json",
        [image(1), image(2)],
        [masked(1, 1, 1, (5, 6, 20, 30)), masked(2, 2, 1, (5, 6, 20, 30))],
        classes("car"),
    )
    path = write(
        tmp_path / "annotations_stuff.json",
        [image(1, source="a"), image(3, source="b")],
        [
            masked(1, 1, 301, (0, 0, 60, 5)),
            masked(2, 3, 302, (0, 0, 60, 5)),
            masked(3, 3, 303, (0, 20, 60, 40)),
            masked(4, 3, 304, (0, 10, 60, 20)),
        ],
        [
            {"id": 301, "name": "sky-other-merged"},
            {"id": 302, "name": "sky"},
            {"id": 303, "name": "car"},
            {"id": 304, "name": "wall-brick"},
        ],
    )
    photos_beside(path, 1, 2, 3)
    data = read_set(tmp_path)
    # one sky, under its first name; stuff that is called like a thing is nobody's target
    assert data.names == ("car", "sky-other-merged", "wall-brick")
    assert data.synonyms == (("car",), ("sky",), ("brick wall",))
    assert data.things == {0}
    both, things, stuff = data.records
    assert both.labels.tolist() == [0, 1]
    assert both.annotated is not None
    assert both.annotated.tolist() == [0, 1]  # source a never draws walls
    assert things.annotated is not None
    assert things.annotated.tolist() == [0]
    assert stuff.labels.tolist() == [1, 2]
    assert stuff.annotated is not None
    assert stuff.annotated.tolist() == [1, 2]
    assert stuff.ignored is not None
    np.testing.assert_array_equal(stuff.ignored(), rectangle(0, 20, 60, 40))
    assert read_set(tmp_path, masks=False).names == ("car",)


def test_partial_photos_say_which_classes_are_complete(tmp_path: Path) -> None:
    images = [
        image(1),
        image(2, partial=True, annotated=None),
        image(3, partial=True, annotated=["dog"]),
        image(4, partial=True, annotated=[1, "wolf"]),
        image(5, partial=False, annotated=["cat", "dog"]),
    ]
    path = write(
        tmp_path / "p.json", images, [box(k, k, 1, (5, 6, 20, 30)) for k in range(1, 6)], classes("cat", "dog")
    )
    photos_beside(path, 1, 2, 3, 4, 5)
    data = read_set(path)
    found = [None if r.annotated is None else r.annotated.tolist() for r in data.records]
    assert found == [None, [], [1], [0], None]
    assert any("wolf" in line for line in data.problems)


def test_cocos_own_classes_are_complete_where_the_file_tells_them_apart(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.json",
        [image(1)],
        [box(1, 1, 1, (5, 6, 20, 30))],
        [{"id": 1, "name": "cat", "supercategory": "coco"}, {"id": 101, "name": "sock", "supercategory": "extra"}],
    )
    photos_beside(path, 1)
    assert read_set(path).records[0].annotated.tolist() == [0]  # type: ignore[union-attr]


def test_left_out_classes_are_as_if_never_annotated(tmp_path: Path) -> None:
    data = one(
        tmp_path, [masked(1, 1, 2, (5, 6, 20, 30)), masked(2, 1, 1, (30, 10, 50, 35))], leave_out=["cat", "unknown"]
    )
    assert data.names == ("dog",)
    assert data.records[0].labels.tolist() == [0]
    assert data.records[0].ignored is None


def test_bad_records_name_themselves_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = masked(1, 1, 2, (5, 6, 20, 30))
    path = write(
        tmp_path / "bad.json",
        [image(1), image(2), image(3), image(4, width=61), image(5)],
        [
            good,
            box(2, 1, 1, (5, 5, 5, 9)),
            masked(3, 1, 9, (5, 5, 9, 9)),
            box(4, 1, 1, (1, 1, 9, 9), segmentation={"size": [3, 3], "counts": [0, 9]}),
            masked(5, 99, 1, (5, 5, 9, 9)),
            masked(6, 2, 1, (5, 5, 9, 9)),
            masked(7, 3, 1, (5, 5, 9, 9)),
            masked(8, 4, 1, (5, 5, 9, 9)),
            masked(1, 5, 1, (5, 5, 9, 9)),
            "no object",
            masked(9, 1, 1, (30, 5, 40, 9), bbox=[30, 5, 0, 0]),
        ],
        classes("cat", "dog"),
    )
    photos_beside(path, 1, 4, 5)
    (tmp_path / "images" / "3.png").write_bytes(b"not an image")
    data = read_set(path)
    first, last = data.records
    assert first.labels.tolist() == [1, 0]
    assert first.boxes.tolist() == [[5, 6, 20, 30], [30, 5, 40, 9]]  # the mask's own box in place of a bad one
    assert last.key.endswith("image 5 (5.png)")
    text = "\n".join(data.problems)
    assert all(line.startswith(str(path)) for line in data.problems)
    for part in (
        "annotation 3 of image 1 (1.png)",
        "annotation 4 of image 1 (1.png): RLE size is [3, 3]",
        "2.png",
        "3.png",
        "image 4 (4.png: 60 x 40, not 61 x 40)",
        "annotation ids used twice",
        "image_id",
    ):
        assert part in text, part
    boxes = read_set(path, kind="boxes")
    assert "annotation 2 of image 1 (1.png): box has no area" in "\n".join(boxes.problems)


def test_a_set_without_any_usable_photo_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "none.json", [image(1)], [masked(1, 1, 1, (5, 6, 20, 30))], classes("cat"))
    with pytest.raises(DataError, match=r"(?s)no photo with an annotation.*1\.png"):
        read_set(path)
    with pytest.raises(DataError, match="kind 'yolo' is unknown"):
        read_set(path, kind="yolo")
    with pytest.raises(DataError, match="no such folder"):
        read_set(path, images=tmp_path / "nowhere")
    with pytest.raises(CocoError, match="absent"):
        read_set(tmp_path / "absent.json")
    write(tmp_path / "second.json", [], [], [])
    with pytest.raises(DataError, match=r"which JSON.*none.json, second.json"):
        read_set(tmp_path)


def test_file_names_stay_inside_the_folder(tmp_path: Path) -> None:
    save_photo(tmp_path / "secret.png")
    path = write(
        tmp_path / "set" / "annotations.json",
        [image(1), image(2, file_name="../secret.png")],
        [masked(1, 1, 1, (5, 6, 20, 30)), masked(2, 2, 1, (5, 6, 20, 30))],
        classes("cat"),
    )
    photos_beside(path, 1)
    data = read_set(path)
    assert len(data.records) == 1
    assert "../secret.png" in data.problems[0]


def test_rotated_photos_are_read_upright(tmp_path: Path) -> None:
    """The JSON has the raw size, so boxes and masks are raw; the model sees the upright photo."""
    path = write(tmp_path / "r.json", [image(1)], [masked(1, 1, 1, (5, 6, 20, 30))], classes("cat"))
    save_photo(tmp_path / "images" / "1.png", orientation=6)
    [record] = read_set(path).records
    assert record.pixels().shape == (WIDTH, HEIGHT, 3)
    assert record.mask is not None
    mask = record.mask(0)
    assert mask.shape == (WIDTH, HEIGHT)
    x0, y0, x1, y1 = record.boxes[0].astype(int)
    np.testing.assert_array_equal(mask, rectangle(x0, y0, x1, y1, height=WIDTH, width=HEIGHT))
    # red grew with the raw x, which runs down the upright photo
    assert record.pixels()[y0, x0, 0] == 5 * 3


def test_limit_counts_usable_photos(tmp_path: Path) -> None:
    path = write(
        tmp_path / "l.json",
        [image(k) for k in range(1, 6)],
        [masked(k, k, 1, (5, 6, 20, 30)) for k in range(1, 6)],
        classes("cat"),
    )
    photos_beside(path, 2, 3, 4, 5)
    assert [record.key[-6:-1] for record in read_set(path, limit=2).records] == ["2.png", "3.png"]


def test_assisted_masks_can_be_kept_out(tmp_path: Path) -> None:
    note = {"openseed_label": {"assisted": "conditioned-nano-1"}}
    annotations = [masked(1, 1, 1, (5, 6, 20, 30), **note), box(2, 1, 2, (30, 5, 40, 9)), masked(3, 2, 1, (1, 2, 9, 9))]
    path = write(tmp_path / "a.json", [image(1), image(2)], annotations, classes("cat", "dog"))
    photos_beside(path, 1, 2)
    assert [record.mask is not None for record in read_set(path).records] == [True, True]
    without = read_set(path, assisted=False).records
    assert [record.mask is not None for record in without] == [False, True]
    assert without[0].labels.tolist() == [0, 1]
