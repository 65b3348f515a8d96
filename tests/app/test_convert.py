"""convert-boxes: what changes in the file, what stays, and how the options act."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import CATEGORIES, annotation, dataset, many, read, save_photo
from fakes import FakeLabeler
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from app.cli import convert_boxes
from app.convert import Settings, check, convert
from app.convert.plan import State
from app.convert.result import PhotoResult
from app.convert.summary import Summary
from app.errors import UsageError
from exporters.masks import area, box_xyxy, decode, encode, from_coco
from labelers.rows import Window, label_each


def run(source: Path, *, labeler: FakeLabeler | None = None, **options: Any) -> tuple[Summary, dict[str, Any]]:
    options = {"output": None, **options}
    summary = convert(Settings.of(source=source, **options), labeler=labeler or FakeLabeler())
    return summary, read(Path(summary.output or ""))


def mask_of(found: dict[str, Any], width: int = 64, height: int = 48) -> Any:
    return from_coco(found["segmentation"], height, width)


def test_each_box_gets_its_own_mask_and_nothing_else_changes(tmp_path: Path) -> None:
    source = many(tmp_path, photos=7, boxes=5)
    before = read(source)
    summary, after = run(source)
    assert summary.exit_code == 0
    assert summary.annotations == {"converted": 35}
    assert Path(summary.output or "") == tmp_path / "data.masks.json"
    assert {k: v for k, v in after.items() if k != "annotations"} == {
        k: v for k, v in before.items() if k != "annotations"
    }
    assert list(after) == list(before)
    for old, new in zip(before["annotations"], after["annotations"], strict=True):
        assert list(new)[: len(old)] == list(old)
        assert {k: new[k] for k in old} == old
        mask = mask_of(new)
        # an inscribed ellipse: its tight box is the box up to a pixel, and no other box of the photo has the same
        x, y, w, h = old["bbox"]
        assert np.abs(box_xyxy(mask) - [x, y, min(x + w, 64), min(y + h, 48)]).max() <= 1.5
        assert new["area"] == area(mask) > 0
        assert set(new["openseed_label"]) == {"labeler", "version", "score"}


def test_the_file_can_be_read_by_pycocotools_at_the_photos_size(tmp_path: Path) -> None:
    source = many(tmp_path, photos=2, boxes=3)
    for form in ("polygon", "rle"):
        _, after = run(source, form=form, output=tmp_path / f"{form}.json")
        for found in after["annotations"]:
            assert isinstance(found["segmentation"], list if form == "polygon" else dict)
            rles = (
                coco_mask.frPyObjects(found["segmentation"], 48, 64) if form == "polygon" else [found["segmentation"]]
            )
            assert coco_mask.decode(coco_mask.merge(rles)).sum() == found["area"]


def test_boxes_that_cannot_be_converted_stay_as_they_are_and_shift_nobody(tmp_path: Path) -> None:
    bad: dict[str, Any] = {
        "degenerate": [10, 10, 0, 5],
        "reversed": [30, 30, -10, -10],
        "outside": [100, 100, 5, 5],
        "nan": [float("nan"), 1, 2, 3],
        "infinite": [1, 1, float("inf"), 5],
        "huge": [1e308, 1e308, 1e308, 1e308],
    }
    annotations = []
    for k, box in enumerate(bad.values()):
        annotations.append(annotation(2 * k, 1, [5 + k, 5, 20, 20]))
        annotations.append(annotation(2 * k + 1, 1, box))
    annotations.append(annotation(98, 1, [3, 3, 9, 9], 90))
    annotations.append({"id": 99, "image_id": 1, "category_id": 0})
    source = dataset(tmp_path, annotations)
    summary, after = run(source, labeler=FakeLabeler(empty_names={"toothbrush"}))
    assert summary.exit_code == 1
    assert summary.annotations["converted"] == len(bad)
    assert {int(p.annotation) for p in summary.problems} == {1, 3, 5, 7, 9, 11, 98, 99}
    outcome = {int(p.annotation): p.outcome for p in summary.problems}
    assert outcome == {1: "degenerate", 3: "degenerate", 5: "outside", 7: "degenerate", 9: "degenerate"} | {
        11: outcome[11],
        98: "empty",
        99: "degenerate",
    }
    # compared as text, because NaN is not equal to itself
    raw_before, raw_after = ([json.dumps(a) for a in doc["annotations"]] for doc in (read(source), after))
    for k in range(len(bad)):
        x0 = float(box_xyxy(mask_of(after["annotations"][2 * k]))[0])
        assert abs(x0 - (5 + k)) <= 1
        assert raw_after[2 * k + 1] == raw_before[2 * k + 1]
    assert raw_after[-2:] == raw_before[-2:]


def test_existing_masks_and_crowds_are_kept_unless_asked(tmp_path: Path) -> None:
    polygon = [[1, 1, 9, 1, 5, 9]]
    crowd = annotation(2, 1, [20, 20, 10, 10]) | {"iscrowd": 1}
    boxed = annotation(3, 1, [2, 2, 4, 4], segmentation=[[2, 2, 6, 2, 6, 6, 2, 6]])
    source = dataset(tmp_path, [annotation(1, 1, [1, 1, 8, 8], segmentation=polygon, area=12.5), crowd, boxed])
    summary, after = run(source)
    assert summary.annotations == {"converted": 1, "kept": 1, "crowd": 1}
    assert after["annotations"][:2] == read(source)["annotations"][:2]
    assert after["annotations"][2]["segmentation"] != boxed["segmentation"]

    summary, after = run(source, redo=True, overwrite=True)
    assert summary.annotations == {"converted": 2, "crowd": 1}
    assert after["annotations"][0]["segmentation"] != polygon
    assert after["annotations"][0]["area"] == area(mask_of(after["annotations"][0]))
    assert after["annotations"][1] == crowd


def test_tighten_moves_the_box_and_keeps_the_old_one(tmp_path: Path) -> None:
    source = dataset(tmp_path, [annotation(1, 1, [-5, -5, 30.5, 30.5])])
    _, after = run(source, tighten=True)
    found = after["annotations"][0]
    x0, y0, x1, y1 = box_xyxy(mask_of(found)).tolist()
    assert found["bbox"] == [x0, y0, x1 - x0, y1 - y0] != [-5, -5, 30.5, 30.5]
    assert found["openseed_label"]["bbox"] == [-5, -5, 30.5, 30.5]
    _, after = run(source, overwrite=True)
    assert after["annotations"][0]["bbox"] == [-5, -5, 30.5, 30.5]


def test_provenance_can_be_left_out_and_taken_out(tmp_path: Path) -> None:
    source = dataset(tmp_path, [annotation(1, 1, [5, 5, 20, 20], openseed_label={"score": 1, "labeler": "old"})])
    _, after = run(source)
    assert after["annotations"][0]["openseed_label"]["labeler"] == "fake"
    _, after = run(source, provenance=False, overwrite=True)
    assert "openseed_label" not in after["annotations"][0]


def test_provenance_of_an_earlier_run_is_taken_out_of_kept_and_failed_annotations_too(tmp_path: Path) -> None:
    kept = annotation(1, 1, [5, 5, 20, 20], segmentation=[[5, 5, 9, 5, 9, 9]], openseed_label={"score": 1})
    failed = annotation(2, 1, [5, 5, 0, 20], openseed_label={"score": 1})
    source = dataset(tmp_path, [kept, failed])
    assert [("openseed_label" in a) for a in run(source)[1]["annotations"]] == [True, True]
    _, after = run(source, provenance=False, overwrite=True)
    for before in (kept, failed):
        del before["openseed_label"]
    assert after["annotations"] == [kept, failed]


def test_overlap_argmax_gives_each_pixel_to_the_higher_score(tmp_path: Path) -> None:
    source = dataset(tmp_path, [annotation(1, 1, [5, 5, 20, 20]), annotation(2, 1, [10, 5, 30, 30])])
    kept = [decode(mask_of(a)) for a in run(source)[1]["annotations"]]
    assert (kept[0] & kept[1]).any()
    argmax = [decode(mask_of(a)) for a in run(source, overlap="argmax", overwrite=True)[1]["annotations"]]
    assert not (argmax[0] & argmax[1]).any()
    assert (argmax[1] == kept[1]).all()  # the fake scores by size
    assert (argmax[0] == (kept[0] & ~kept[1])).all()


def test_categories_and_limit_choose_what_is_converted(tmp_path: Path) -> None:
    source = many(tmp_path, photos=4, boxes=3)
    summary, after = run(source, categories=("traffic light, toothbrush",))
    done = {a["category_id"] for a in after["annotations"] if "segmentation" in a}
    assert done == {17, 90}
    assert summary.annotations == {"converted": 8, "left_out": 4}
    summary, after = run(source, limit=2, overwrite=True)
    assert {a["image_id"] for a in after["annotations"] if "segmentation" in a} == {1, 2}
    assert summary.photos["asked"] == 2
    with pytest.raises(UsageError, match=r"trafic light.*did you mean traffic light"):
        run(source, categories=("trafic light",), overwrite=True)


def test_a_category_name_with_a_comma_and_twins_are_found(tmp_path: Path) -> None:
    categories = [{"id": "a", "name": "cup, small"}, {"id": "b", "name": "cup, small"}, {"id": "c", "name": "Cup"}]
    boxes = [annotation(k, 1, [5, 5, 20, 20], c) for k, c in enumerate("abc")]
    source = dataset(tmp_path, boxes, categories=categories)
    _, after = run(source, categories=("cup, small",))
    assert ["segmentation" in a for a in after["annotations"]] == [True, True, False]
    assert [a["category_id"] for a in after["annotations"]] == ["a", "b", "c"]


def test_prompts_reach_the_labeler_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    heard = []

    class Listening(FakeLabeler):
        def open(self, photo: Any) -> Any:
            opened = super().open(photo)

            class Opened:
                def masks(self, boxes: Any, vocabulary: Any) -> Any:
                    heard.append([vocabulary.prompts(name) for name in boxes.names])
                    return opened.masks(boxes, vocabulary)

            return Opened()

    boxes = [
        annotation(1, 1, [5, 5, 20, 20], 0),
        annotation(2, 1, [5, 5, 20, 20], 17),
        annotation(3, 1, [1, 1, 9, 9], 5),
    ]
    source = dataset(tmp_path, boxes)
    run(source, labeler=Listening(), prompts=("traffic light=signal | lamp",))
    assert heard == [[("person",), ("signal", "lamp"), ("object",)]]
    for prompt, message in (("light=lamp", "no category 'light'"), ("person", "category=text"), ("person=", "prompt")):
        with pytest.raises(UsageError, match=message):
            run(source, prompts=(prompt,), overwrite=True)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("stated", ["raw", "upright"])
def test_masks_return_in_the_frame_of_the_boxes(tmp_path: Path, orientation: int, stated: str) -> None:
    save_photo(tmp_path / "photo1.jpg", width=64, height=48, orientation=orientation)
    turned = orientation >= 5 and stated == "upright"
    width, height = (48, 64) if turned else (64, 48)
    box = [3, 7, 30, 15]
    content = {
        "images": [{"id": 1, "file_name": "photo1.jpg", "width": width, "height": height}],
        "annotations": [annotation(1, 1, box)],
        "categories": CATEGORIES,
    }
    source = tmp_path / "data.json"
    source.write_text(json.dumps(content))
    # raw and upright have the same size for 2 to 4, and only --exif can tell
    summary, after = run(source, exif=stated if 2 <= orientation <= 4 else "auto")
    assert summary.exit_code == 0
    mask = mask_of(after["annotations"][0], width, height)
    assert mask["size"] == [height, width]
    assert np.abs(box_xyxy(mask) - [3, 7, 33, 22]).max() <= 1


def test_sizes_that_contradict_the_file_are_reported(tmp_path: Path) -> None:
    source = dataset(tmp_path, [annotation(1, 1, [5, 5, 20, 20]), annotation(2, 2, [5, 5, 20, 20])], photos=2)
    content = read(source)
    content["images"][1] |= {"width": 128, "height": 96}
    source.write_text(json.dumps(content))
    summary, _ = run(source)
    assert summary.exit_code == 1
    assert summary.annotations == {"converted": 2}
    assert len(summary.mismatches) == 1
    assert "photo2.png" in summary.mismatches[0]
    assert "128 x 96" in summary.mismatches[0]


def test_detections_become_a_coco_file(tmp_path: Path) -> None:
    images = dataset(tmp_path, [], photos=2, name="val.json")
    found = [
        {"image_id": 2, "category_id": 90, "bbox": [5, 5, 20, 20], "score": 0.25},
        {"image_id": 1, "category_id": 0, "bbox": [1, 1, 9, 9], "score": 0.5},
    ]
    source = tmp_path / "detections.json"
    source.write_text(json.dumps(found))
    summary, after = run(source, images_json=images)
    assert summary.exit_code == 0
    assert after["images"] == read(images)["images"]
    assert [a["id"] for a in after["annotations"]] == [1, 2]
    assert [a["score"] for a in after["annotations"]] == [0.25, 0.5]
    assert all(area(mask_of(a)) == a["area"] for a in after["annotations"])


def test_photos_are_found_in_images_beside_the_json_and_elsewhere_by_advice(tmp_path: Path) -> None:
    source = dataset(tmp_path / "annotations", [annotation(1, 1, [5, 5, 20, 20])])
    inner, outer = tmp_path / "annotations" / "images", tmp_path / "images"
    outer.mkdir()
    (tmp_path / "annotations" / "photo1.png").rename(outer / "photo1.png")
    with pytest.raises(UsageError, match=f"use --images {outer}"):
        run(source)
    assert not list((tmp_path / "annotations").glob("*.journal"))
    summary, _ = run(source, images=outer)
    assert summary.exit_code == 0
    outer.rename(inner)
    summary, _ = run(source, overwrite=True)
    assert summary.exit_code == 0
    assert any(str(inner) in note for note in summary.notes)


def test_a_folder_without_any_of_the_photos_is_refused(tmp_path: Path) -> None:
    source = many(tmp_path / "set", photos=8, boxes=1)
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match=r"not one of the 8 photos is in .*other.*--images"):
        run(source, images=tmp_path / "other")
    assert sorted(path.suffix for path in source.parent.iterdir()) == [".json", *[".png"] * 8]
    # one is enough, be it the last
    source.with_name("photo8.png").rename(tmp_path / "other" / "photo8.png")
    summary, _ = run(source, images=tmp_path / "other")
    assert summary.annotations == {"converted": 1, "no_photo": 7}


def test_an_existing_output_is_never_replaced_unasked(tmp_path: Path) -> None:
    source = many(tmp_path, photos=2, boxes=2)
    run(source)
    (tmp_path / "data.masks.json").write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        run(source)
    assert (tmp_path / "data.masks.json").read_text() == "precious"
    with pytest.raises(UsageError, match="is an input"):
        run(source, output=source)
    run(source, overwrite=True)
    assert read(tmp_path / "data.masks.json")["annotations"][0]["segmentation"]


def test_in_place_replaces_the_file_behind_a_link_and_completes_it(tmp_path: Path) -> None:
    source = many(tmp_path / "real", photos=3, boxes=2)
    source.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(source)
    summary, _ = run(link, in_place=True, images=tmp_path / "real", labeler=FakeLabeler(fail_on={"2"}))
    assert summary.exit_code == 1
    assert link.is_symlink()
    assert source.stat().st_mode & 0o777 == 0o640
    assert [("segmentation" in a) for a in read(source)["annotations"]] == [True, True, False] * 2
    again = FakeLabeler()
    summary, after = run(link, in_place=True, images=tmp_path / "real", labeler=again)
    assert again.opened == ["2"]
    assert summary.annotations == {"kept": 4, "converted": 2}
    assert all("segmentation" in a for a in after["annotations"])
    assert sorted(p.name for p in source.parent.iterdir()) == ["data.json", "photo1.png", "photo2.png", "photo3.png"]


def test_dry_run_tells_what_would_happen_and_writes_nothing(tmp_path: Path) -> None:
    boxes = [annotation(1, 1, [5, 5, 20, 20]), annotation(2, 2, [5, 5, 20, 20]), annotation(3, 1, [5, 5, 0, 20])]
    source = dataset(tmp_path, [*boxes, annotation(4, 77, [1, 2, 3, 4])], photos=2)
    (tmp_path / "photo2.png").unlink()
    before = sorted(tmp_path.iterdir())
    summary = check(Settings.of(source=source))
    assert summary.annotations == {"todo": 1, "degenerate": 1, "no_photo": 1, "no_image": 1}
    assert summary.output is None
    assert summary.exit_code == 1
    assert sorted(tmp_path.iterdir()) == before
    converted, _ = run(source)
    assert converted.problems == summary.problems


def test_polygons_can_be_simplified(tmp_path: Path) -> None:
    source = dataset(tmp_path, [annotation(1, 1, [2, 2, 60, 44])])
    exact = run(source)[1]["annotations"][0]
    loose = run(source, simplify=1.5, overwrite=True)[1]["annotations"][0]
    assert len(loose["segmentation"][0]) < len(exact["segmentation"][0]) / 2
    assert coco_mask.iou([mask_of(loose)], [mask_of(exact)], [0])[0, 0] > 0.9


class Rims(FakeLabeler):
    """The box's rim, four pixels wide: a mask with a hole."""

    def open(self, photo: Any) -> Any:
        def rim(box: Any, name: str) -> Window:
            x0, y0, x1, y1 = (int(value) for value in box)
            mask = np.ones((y1 - y0, x1 - x0), bool)
            mask[4:-4, 4:-4] = False
            return Window(mask, x0, y0, 0.5)

        class Opened:
            def masks(self, boxes: Any, vocabulary: Any) -> Any:
                return label_each(boxes, height=photo.height, width=photo.width, label=rim)

        return Opened()


def test_holes_that_polygons_cannot_keep_are_counted(tmp_path: Path) -> None:
    source = dataset(tmp_path, [annotation(1, 1, [4, 4, 20, 20]), annotation(2, 1, [30, 10, 6, 6])])
    summary, after = run(source, form="polygon", labeler=Rims())
    assert [note for note in summary.notes if "holes" in note] == [
        "1 masks with holes became outer polygons; use --format rle to keep the holes"
    ]
    # the area is that of what is written
    assert [found["area"] for found in after["annotations"]] == [400, 36]
    for form in ("auto", "rle"):
        summary, after = run(source, form=form, labeler=Rims(), overwrite=True)
        assert not [note for note in summary.notes if "holes" in note]
        assert [found["area"] for found in after["annotations"]] == [400 - 144, 36]


def test_a_photo_with_500_boxes_and_one_with_none(tmp_path: Path) -> None:
    boxes = [annotation(k, 1, [k % 40, k % 30, 8, 8]) for k in range(500)]
    labeler = FakeLabeler()
    summary, after = run(dataset(tmp_path, boxes, photos=2), labeler=labeler)
    assert summary.annotations == {"converted": 500}
    assert len(labeler.opened) == 1
    empty = dataset(tmp_path / "empty", [], photos=1)
    summary, after = run(empty)
    assert summary.exit_code == 0
    assert after == read(empty)


def test_clip_to_box_with_and_without_margin(tmp_path: Path) -> None:
    class Overflowing(FakeLabeler):
        """Labels a box twice as wide and high, as a model may do that knows better."""

        def open(self, photo: Any) -> Any:
            opened = super().open(photo)

            class Opened:
                def masks(self, boxes: Any, vocabulary: Any) -> Any:
                    grow = np.array([-10, -10, 10, 10], np.float32)
                    wide = opened.masks(replace(boxes, xyxy=boxes.xyxy + grow), vocabulary)
                    return replace(wide, boxes=boxes)

            return Opened()

    source = dataset(tmp_path, [annotation(1, 1, [20, 15, 20, 20])])
    seen = {}
    for name, options in {"free": {}, "clip": {"clip": True}, "margin": {"clip": True, "margin": 0.25}}.items():
        after = run(source, labeler=Overflowing(), overwrite=True, **options)[1]
        seen[name] = box_xyxy(mask_of(after["annotations"][0])).tolist()
    assert seen["clip"] == [20, 15, 40, 35]
    assert seen["margin"] == [15, 10, 45, 40]
    assert seen["free"][0] <= 11


def test_every_option_reaches_the_settings(tmp_path: Path) -> None:
    source = many(tmp_path, photos=1, boxes=1)
    parser = argparse.ArgumentParser()
    convert_boxes.add_arguments(parser)
    images, report, output = tmp_path, tmp_path / "r.html", tmp_path / "o.json"
    words = f"""{source} --images {images} -o {output} --overwrite --report {report} --labeler grabcut --model swin-t
        --weights {source} --device cuda:1 --batch-size 7 --prompt person=human --redo --categories person --limit 3
        --exif raw --format rle --simplify 1.5 --clip-to-box --margin 0.1 --overlap argmax --tighten --no-provenance"""
    found = convert_boxes.settings_from(parser.parse_args(words.split()))
    assert found == Settings(
        source=source,
        output=output,
        images=images,
        report=report,
        overwrite=True,
        labeler="grabcut",
        model="swin-t",
        weights=source,
        device="cuda:1",
        batch_size=7,
        prompts=("person=human",),
        redo=True,
        categories=("person",),
        limit=3,
        exif="raw",
        form="rle",
        simplify=1.5,
        clip=True,
        margin=0.1,
        overlap="argmax",
        tighten=True,
        provenance=False,
    )


SCORES = st.integers(0, 10_000).map(lambda n: n / 10_000)
STATES = st.sampled_from([State.CONVERTED, State.EMPTY, State.DEGENERATE, State.FAILED])


@given(st.lists(st.tuples(st.integers(0, 2**40), STATES, SCORES, st.text())), st.none() | st.text(), st.booleans())
def test_a_result_survives_the_journal(rows: list[tuple[int, State, float, str]], note: str | None, odd: bool) -> None:
    masks = tuple(encode(np.eye(5, 7, k % 3) > 0) if r[1] is State.CONVERTED else None for k, r in enumerate(rows))
    result = PhotoResult(
        rows=tuple(r[0] for r in rows),
        states=tuple(r[1] for r in rows),
        reasons=tuple(r[3] for r in rows),
        scores=tuple(r[2] for r in rows),
        masks=masks,
        note=note,
        mismatch=odd,
    )
    assert PhotoResult.from_payload(json.loads(json.dumps(result.payload()))) == result
    assert result.final is all(r[1] is not State.FAILED for r in rows)
