import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exporters.coco import CocoDocument, CocoError, Edit
from exporters.coco_results import open_results

IMAGES = (
    '{"info": {"v": 1.0},\n "annotations": [{"id": 90, "image_id": 1}],\n "images": [{"id": 1, "file_name": "a"}], '
    '"categories": [{"id": 5, "name": "cat"}]}\n'
)
RESULTS = (
    '[ {"image_id": 1, "category_id": 5, "bbox": [1.0, 2, 3e0, NaN], "score": 0.50},\n'
    '{"image_id":1,"category_id":5,"bbox":[1,2,3,4],"score":1}]\n'
)


def opened(folder: Path, results: str, images: str) -> CocoDocument:
    (folder / "r.json").write_text(results)
    (folder / "i.json").write_text(images)
    return open_results(folder / "r.json", folder / "i.json")


def written(folder: Path, results: str, images: str, edit: Callable[[int], Edit | None] = lambda row: None) -> str:
    with opened(folder, results, images) as document:
        document.write(folder / "out.json", edit)
    return (folder / "out.json").read_text()


def test_detections_are_the_annotations_of_the_document(tmp_path: Path) -> None:
    with opened(tmp_path, RESULTS, IMAGES) as document:
        assert document.path == tmp_path / "r.json"
        assert document.annotation_count == 2
        found = document.annotations(0)
        assert found.scores.tolist() == [0.5, 1.0]
        assert np.isnan(found.xywh[0, 3])
        assert found.category_rows.tolist() == [0, 0]
        assert document.problems == []


def test_output_is_the_images_file_with_the_detections_and_new_ids(tmp_path: Path) -> None:
    out = written(tmp_path, RESULTS, IMAGES, lambda row: Edit(segmentation=[[0, 0, 1, 0, 1, 1]]) if row else None)
    detections = RESULTS.strip().replace("0.50}", '0.50, "id": 1}')
    detections = detections.replace('"score":1}', '"score":1,"id":2,"segmentation":[[0,0,1,0,1,1]]}')
    assert out == IMAGES.replace('[{"id": 90, "image_id": 1}]', detections)


@pytest.mark.parametrize(
    ("images", "wanted"),
    [
        ('{"images": []}', '{"images": [], "annotations": [{"id": 1}]}'),
        ('{"images": []\n}\n', '{"images": []\n, "annotations": [{"id": 1}]}\n'),
    ],
)
def test_an_images_file_without_annotations_gets_them_at_its_end(tmp_path: Path, images: str, wanted: str) -> None:
    assert written(tmp_path, "[{}]", images) == wanted


def test_ids_that_detections_have_are_kept_and_not_given_again(tmp_path: Path) -> None:
    out = written(tmp_path, '[{"score": 1}, {"id": 4}, {"id": null}, {"id": "x"}]', IMAGES)
    assert [row["id"] for row in json.loads(out)["annotations"]] == [5, 4, 6, "x"]


def test_an_empty_list_of_detections_is_fine(tmp_path: Path) -> None:
    assert json.loads(written(tmp_path, "[]", IMAGES))["annotations"] == []


@pytest.mark.parametrize(
    ("results", "images", "message"),
    [
        ('{"annotations": []}', IMAGES, "r.json: line 1: results are a list.*without --images-json"),
        ("[]", "[]", "i.json: line 1: a list stands"),
        ("[]", '{"annotations": []}', 'i.json: the top-level object has no "images"'),
        ("[{]", IMAGES, "r.json: line 1, column 3"),
    ],
)
def test_wrong_files_are_told_apart(tmp_path: Path, results: str, images: str, message: str) -> None:
    with pytest.raises(CocoError, match=message):
        opened(tmp_path, results, images)
