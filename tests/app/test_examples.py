"""The bundled example is a truth for other tests, so its own promises are checked here."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps
from pycocotools import mask as coco_mask
from shapely.geometry import Polygon

EXAMPLES = Path(__file__).parents[2] / "app" / "examples"
BOXES: dict[str, Any] = json.loads((EXAMPLES / "boxes.json").read_text())
TRUTH: dict[str, Any] = json.loads((EXAMPLES / "truth.json").read_text())
IMAGES = {image["id"]: image for image in TRUTH["images"]}
NAMES = {category["id"]: category["name"] for category in TRUTH["categories"]}
FREE = {"Public domain", "CC0 1.0 Universal"}

# Worn things are annotated again on their own; any other overlap is a slip of the pen.
MAY_OVERLAP = {frozenset({"person", "hat"}), frozenset({"person", "glasses"})}


def decode(annotation: dict[str, Any]) -> npt.NDArray[np.bool_]:
    image = IMAGES[annotation["image_id"]]
    rles = coco_mask.frPyObjects(annotation["segmentation"], image["height"], image["width"])
    return np.asarray(coco_mask.decode(coco_mask.merge(rles)), dtype=np.bool_)


def label(annotation: dict[str, Any]) -> str:
    return f"{Path(IMAGES[annotation['image_id']]['file_name']).stem}-{NAMES[annotation['category_id']]}"


each_annotation = pytest.mark.parametrize("annotation", TRUTH["annotations"], ids=label)
each_image = pytest.mark.parametrize("image", TRUTH["images"], ids=lambda image: Path(image["file_name"]).stem)


def test_folder_holds_the_listed_photos_and_stays_small() -> None:
    listed = sorted(image["file_name"] for image in TRUTH["images"])
    assert sorted(f"photos/{path.name}" for path in (EXAMPLES / "photos").iterdir()) == listed
    assert sum(path.stat().st_size for path in EXAMPLES.rglob("*") if path.is_file()) < 1_200_000


@each_image
def test_licence_and_credit_are_stated(image: dict[str, Any]) -> None:
    licences = {licence["id"]: licence["name"] for licence in TRUTH["licenses"]}
    name = licences[image["license"]]
    assert name in FREE
    assert len(image["credit"]) > 20
    photo = f"`{Path(image['file_name']).name}`"
    row = next(line for line in (EXAMPLES / "README.md").read_text().splitlines() if photo in line)
    assert ("CC0 1.0" if name.startswith("CC0") else "public domain") in row


@each_image
def test_size_is_that_of_the_upright_photo(image: dict[str, Any]) -> None:
    with Image.open(EXAMPLES / image["file_name"]) as photo:
        upright = ImageOps.exif_transpose(photo)
        assert upright.size == (image["width"], image["height"])


def test_one_photo_is_stored_rotated_and_one_is_grayscale() -> None:
    orientations, modes = Counter[int](), Counter[str]()
    for image in TRUTH["images"]:
        with Image.open(EXAMPLES / image["file_name"]) as photo:
            orientations[photo.getexif().get(0x0112, 1)] += 1
            modes[photo.mode] += 1
    assert orientations == {1: 5, 6: 1}
    assert modes == {"RGB": 5, "L": 1}


def test_boxes_and_truth_are_the_same_data_set() -> None:
    for key in ("images", "categories", "licenses"):
        assert BOXES[key] == TRUTH[key]
    shared = ("id", "image_id", "category_id", "bbox", "iscrowd")
    rows = [[[a[key] for key in shared] for a in document["annotations"]] for document in (BOXES, TRUTH)]
    assert rows[0] == rows[1]
    assert 8 <= len(rows[0]) <= 14
    assert all("segmentation" not in a and a["area"] == a["bbox"][2] * a["bbox"][3] for a in BOXES["annotations"])


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_ids_are_unique_and_have_gaps(key: str) -> None:
    ids = [row["id"] for row in TRUTH[key]]
    assert len(set(ids)) == len(ids)
    assert max(ids) - min(ids) >= len(ids)


@each_annotation
def test_polygons_are_valid_and_disjoint(annotation: dict[str, Any]) -> None:
    parts = [Polygon(list(zip(ring[::2], ring[1::2], strict=True))) for ring in annotation["segmentation"]]
    assert all(part.is_valid and part.area > 5 for part in parts)
    overlap = sum(first.intersection(second).area for i, first in enumerate(parts) for second in parts[:i])
    assert overlap < 1.0


@each_annotation
def test_box_is_the_tight_box_of_the_mask(annotation: dict[str, Any]) -> None:
    x, y, w, h = annotation["bbox"]
    image = IMAGES[annotation["image_id"]]
    assert all(isinstance(value, int) for value in (x, y, w, h))
    assert x >= 0
    assert y >= 0
    assert x + w <= image["width"]
    assert y + h <= image["height"]
    rows, columns = np.nonzero(decode(annotation))
    tight = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    slack = np.array([tight[0] - x, tight[1] - y, x + w - tight[2], y + h - tight[3]])
    assert slack.min() >= 0, "the mask leaves its box"
    assert slack.max() <= 1, "the box is wider than rounding outward makes it"


@each_annotation
def test_area_counts_the_pixels(annotation: dict[str, Any]) -> None:
    assert annotation["area"] == decode(annotation).sum()


@each_image
def test_objects_overlap_only_where_something_is_worn(image: dict[str, Any]) -> None:
    own = [a for a in TRUTH["annotations"] if a["image_id"] == image["id"]]
    masks = [decode(a) for a in own]
    for i, first in enumerate(own):
        for j, second in enumerate(own[:i]):
            pair = frozenset(NAMES[a["category_id"]] for a in (first, second))
            both = np.logical_and(masks[i], masks[j]).sum()
            if pair in MAY_OVERLAP:
                assert both >= 0.99 * min(masks[i].sum(), masks[j].sum()), "worn things lie inside the person"
            else:
                # Rasterising two polygons that share an edge may give its pixels to both.
                assert both <= 0.02 * min(masks[i].sum(), masks[j].sum()), f"{pair} share {both} pixels"


def test_the_box_alone_is_a_poor_answer() -> None:
    """A truth that a rectangle already fits could not tell a good labeler from a bad one."""
    fill = [a["area"] / (a["bbox"][2] * a["bbox"][3]) for a in TRUTH["annotations"]]
    assert float(np.mean(fill)) < 0.7
    assert min(fill) < 0.2
