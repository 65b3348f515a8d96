"""``propose`` on folders and COCO files, with a labeler that needs no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import annotation, dataset, read, save_photo
from fakes import FakeFinder, FakeLabeler
from PIL import Image

from app.cli.main import main
from app.errors import UsageError
from app.propose import Settings, propose
from exporters.masks import decode, from_coco
from labelers.journal import JournalMismatch
from labelers.vocabulary import VocabularyError

WORDS = "person, traffic light, sky (stuff), toothbrush"  # scores 0.8, 0.44, 0.31, 0.24


def folder(path: Path, *, photos: int = 3) -> Path:
    for k in range(1, photos + 1):
        save_photo(path / "photos" / ("deep" if k == 2 else "") / f"photo{k}.png", seed=k)
    return path / "photos"


def go(source: Path, *, labeler: Any = None, **options: Any) -> Any:
    options.setdefault("vocabulary", WORDS if source.is_dir() else None)
    return propose(Settings.of(source=source, **options), labeler=labeler or FakeFinder())


def tree(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def test_a_folder_becomes_a_coco_file(tmp_path: Path) -> None:
    summary = go(folder(tmp_path), output=tmp_path / "out")
    assert (summary.exit_code, summary.counts) == (0, {"instances": {"person": 3, "sky": 3, "traffic light": 3}})
    found = read(tmp_path / "out" / "instances.json")
    assert [image["file_name"] for image in found["images"]] == ["photo1.png", "photo3.png", "deep/photo2.png"]
    assert found["images"][0] == {"id": 1, "file_name": "photo1.png", "width": 64, "height": 48}
    assert [c["name"] for c in found["categories"]] == ["person", "traffic light", "sky", "toothbrush"]
    assert [c["supercategory"] for c in found["categories"]] == ["", "", "stuff", ""]
    assert [a["id"] for a in found["annotations"]] == list(range(1, 10))
    first = found["annotations"][0]
    assert first["score"] == 0.8
    assert first["openseed_label"] == {
        "labeler": "finder",
        "version": "1",
        "score": 0.8,
        "source": "model:finder",
        "state": "proposed",
    }
    mask = decode(from_coco(first["segmentation"], 48, 64))
    rows, columns = np.nonzero(mask)
    assert first["area"] == mask.sum()
    assert first["bbox"] == [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    assert not (tmp_path / "out" / "proposals.journal").exists()


def test_thresholds_and_the_most_of_a_photo(tmp_path: Path) -> None:
    photos = folder(tmp_path)
    assert go(photos, output=tmp_path / "a", threshold=0.5).counts["instances"] == {"person": 3}
    each = go(photos, output=tmp_path / "b", threshold=0.5, thresholds={"person": 0.9, "toothbrush": 0.2})
    assert each.counts["instances"] == {"toothbrush": 3}
    assert go(photos, output=tmp_path / "c", most=1).counts["instances"] == {"person": 3}
    none = go(photos, output=tmp_path / "d", threshold=0.99)
    assert none.photos["empty"] == 3
    assert read(tmp_path / "d" / "instances.json")["annotations"] == []
    with pytest.raises(VocabularyError, match="'cat'"):
        go(photos, output=tmp_path / "e", thresholds={"cat": 0.9})


def test_what_is_annotated_stays_byte_for_byte_and_is_not_found_again(tmp_path: Path) -> None:
    known = annotation("own", 1, [0.0, 0.50, 16, 23.5], 0, note="é", area=1e3)  # nearly the finder's person
    other = annotation(7, 1, [20, 30, 10, 10], 17)
    source = dataset(tmp_path, [known, other], photos=2)
    summary = go(source, output=tmp_path / "out", vocabulary="person, traffic light, sky (stuff)")
    assert summary.known == 1
    before, after = source.read_bytes(), (tmp_path / "out" / "instances.json").read_bytes()
    at = before.index(b'], "categories"')
    assert after.startswith(before[:at] + b", {")
    assert after.endswith(b', {"id": 91, "name": "sky", "supercategory": "stuff"}]}')
    made = json.loads(after)["annotations"][2:]
    assert [(a["id"], a["image_id"], a["category_id"]) for a in made] == [
        (8, 1, 17),
        (9, 1, 91),
        (10, 2, 0),
        (11, 2, 17),
        (12, 2, 91),
    ]


def test_without_vocab_the_categories_of_the_file_are_looked_for(tmp_path: Path) -> None:
    source = dataset(tmp_path, [], photos=1)
    assert go(source, output=tmp_path / "out").counts["instances"] == {"person": 1, "toothbrush": 1, "traffic light": 1}
    document = read(tmp_path / "out" / "instances.json")
    assert document["info"] == {"year": 2026}
    assert len(document["categories"]) == 3


def test_boxes_alone(tmp_path: Path) -> None:
    source = dataset(tmp_path, [annotation(3, 1, [1, 0, 15, 24], 0)], photos=1)
    summary = go(source, output=tmp_path / "out", tasks=("boxes",))
    assert (summary.counts, summary.known) == ({"boxes": {"toothbrush": 1, "traffic light": 1}}, 1)
    made = read(tmp_path / "out" / "boxes.json")["annotations"][1]
    assert made["bbox"] == [16, 0, 16, 24]
    assert made["area"] == 16 * 24
    assert "segmentation" not in made
    assert not (tmp_path / "out" / "instances.json").exists()


def test_panoptic_and_semantic_maps(tmp_path: Path) -> None:
    from exporters.coco_panoptic import read_ids, read_panoptic

    go(folder(tmp_path), output=tmp_path / "out", tasks=("panoptic", "semantic"))
    found = read_panoptic(tmp_path / "out" / "panoptic.json")
    assert [(c.name, c.isthing) for c in found.categories] == [
        ("person", True),
        ("traffic light", True),
        ("sky", False),
        ("toothbrush", True),
    ]
    photo = found.images[2]
    assert photo.file_name == "deep/photo2.png"
    ids = read_ids(tmp_path / "out" / "panoptic" / photo.png, height=48, width=64)
    assert [(s.id, s.category_id, s.area) for s in photo.segments] == [(k, k, int((ids == k).sum())) for k in (1, 2, 3)]
    names = read(tmp_path / "out" / "semantic" / "names.json")
    assert names["values"] == {"0": None, "1": "person", "2": "traffic light", "3": "sky", "4": "toothbrush"}
    labels = np.asarray(Image.open(tmp_path / "out" / "semantic" / names["files"]["deep/photo2.png"]))
    assert labels.dtype == np.uint8
    assert ((labels == 3) == (ids == 3)).all()


def test_a_rotated_photo_answers_in_the_frame_of_the_file(tmp_path: Path) -> None:
    save_photo(tmp_path / "turned.jpg", width=64, height=48, orientation=6)  # upright: 48 wide, 64 high
    images = [{"id": 1, "file_name": "turned.jpg", "width": 64, "height": 48}]
    source = tmp_path / "data.json"
    source.write_text(json.dumps({"images": images, "annotations": [], "categories": [{"id": 1, "name": "cat"}]}))
    go(source, output=tmp_path / "out", tasks=("instances", "boxes"))
    # Upright, the cat is in x 0 to 12 and y 0 to 32; stored, that is the lower left.
    (box,) = read(tmp_path / "out" / "boxes.json")["annotations"]
    assert box["bbox"] == [0, 36, 32, 12]
    (mask,) = read(tmp_path / "out" / "instances.json")["annotations"]
    assert mask["bbox"] == [0, 36, 32, 12]


def test_a_bad_photo_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    photos = folder(tmp_path)
    (photos / "photo3.png").write_bytes(b"no picture")
    summary = go(photos, output=tmp_path / "out", labeler=FakeFinder(fail_on=("photo1.png",)))
    assert summary.exit_code == 1
    assert [name for name, _ in summary.problems] == ["photo1.png", "photo3.png"]
    assert "told to fail" in summary.problems[0][1]
    assert [a["image_id"] for a in read(tmp_path / "out" / "instances.json")["annotations"]] == [3, 3, 3]


def test_ids_that_are_used_twice_are_reported(tmp_path: Path) -> None:
    source = dataset(tmp_path, [], photos=2)
    source.write_text(source.read_text().replace('"id": 2', '"id": 1'))
    summary = go(source, output=tmp_path / "out")
    assert summary.problems == (("photo2.png", "its id 1 is that of another photo too; give it one of its own"),)


class Stopping(FakeFinder):
    """Is interrupted at a photo, as by Ctrl-C."""

    def open(self, photo: Any) -> Any:
        if photo.key in ("2", "deep/photo2.png"):
            raise KeyboardInterrupt
        return super().open(photo)


@pytest.mark.parametrize("form", ["folder", "file"])
def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(tmp_path: Path, form: str) -> None:
    source = folder(tmp_path) if form == "folder" else dataset(tmp_path, [annotation(1, 1, [1, 1, 5, 5])], photos=4)
    tasks = ("instances", "boxes")
    whole = go(source, output=tmp_path / "whole", tasks=tasks)
    with pytest.raises(KeyboardInterrupt):
        go(source, output=tmp_path / "out", tasks=tasks, labeler=Stopping())
    assert not (tmp_path / "out" / "instances.json").exists()
    with pytest.raises(JournalMismatch, match="tasks"):
        go(source, output=tmp_path / "out")
    again = FakeFinder()
    summary = go(source, output=tmp_path / "out", tasks=tasks, labeler=again)
    assert summary.photos["resumed"] == 2
    assert len(again.opened) == whole.photos["asked"] - 2
    assert summary.counts == whole.counts
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_a_run_that_fails_while_writing_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos = folder(tmp_path)
    go(photos, output=tmp_path / "whole")

    def full(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("app.propose.write.write_new", full)
        with pytest.raises(OSError, match="No space"):
            go(photos, output=tmp_path / "out")
    again = FakeFinder()
    go(photos, output=tmp_path / "out", labeler=again)
    assert again.opened == []
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def test_finished_work_is_not_replaced_unasked(tmp_path: Path) -> None:
    photos = folder(tmp_path)
    go(photos, output=tmp_path / "out")
    with pytest.raises(UsageError, match="--overwrite"):
        go(photos, output=tmp_path / "out")
    go(photos, output=tmp_path / "out", overwrite=True)


def test_results_inside_the_folder_of_photos_are_no_photos(tmp_path: Path) -> None:
    photos = folder(tmp_path)
    out = photos / "out"
    out.mkdir()
    save_photo(out / "panoptic" / "photo1.png")
    assert go(photos, output=out).photos["asked"] == 3


def test_a_page_of_thumbnails(tmp_path: Path) -> None:
    summary = go(folder(tmp_path), output=tmp_path / "out", report=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("<figure") == 9
    assert "<b>9</b> proposed</li>" in page
    assert "All 9 proposals, lowest score first." in page
    assert "converted" not in page
    assert "annotation" not in page.partition("<main")[2]
    assert str(tmp_path / "page.html") in summary.outputs


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tasks": ("masks",)}, "no task 'masks'"),
        ({"vocabulary": None}, "--vocab"),
        ({"vocabulary": "gone.txt"}, "no such file"),
        ({"for_boxes": True}, "needs boxes"),
        ({"output": Path("nowhere/deep/out")}, "does not exist"),
        ({"labeler": FakeLabeler()}, "can't find objects"),
        ({"prompts": ("cat=kitten",)}, "--prompt"),
        ({"tasks": ("boxes",), "report": Path("page.html")}, "--report shows instances"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        go(folder(tmp_path), **{"output": tmp_path / "out", **options})
    assert not (tmp_path / "out").exists()


def test_a_photo_in_place_of_its_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a photo; give the folder"):
        go(folder(tmp_path) / "photo1.png", output=tmp_path / "out")


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("app.propose.proposing.labeler_of", lambda settings: FakeFinder())
    photos = folder(tmp_path)
    assert main(["propose", str(photos), "--vocab", "cat, dog", "--thresholds", "dog=0.4", "--json", "-q"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counts"]["instances"] == {"cat": 3, "dog": 3}
    assert (tmp_path / "photos.proposals" / "instances.json").exists()
    assert main(["propose", str(photos), "--vocab", "cat, dog"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["propose", str(photos), "--overwrite", "--vocab", "cat"]) == 0
    assert "3  cat" in capsys.readouterr().err
    (photos / "photo1.png").write_bytes(b"")
    assert main(["propose", str(photos), "--overwrite", "--vocab", "cat", "-q"]) == 1
    with pytest.raises(SystemExit, match="0"):
        main(["propose", "--help"])
    assert "openseed-label propose photos/" in capsys.readouterr().out
