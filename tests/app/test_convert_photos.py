"""convert-boxes on photos that are missing, broken, hostile or unusual: reported, and the rest goes on."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from coco_files import annotation, dataset, read, save_photo
from fakes import FakeLabeler
from PIL import Image

from app.convert import Settings, convert
from app.convert.summary import Summary


def bomb() -> bytes:
    """A PNG of a few bytes whose header promises 3.6 gigapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def run(source: Path, labeler: FakeLabeler | None = None, **options: object) -> Summary:
    return convert(Settings.of(source=source, output=None, **options), labeler=labeler or FakeLabeler())


def with_names(folder: Path, names: list[str]) -> Path:
    """A data set of three boxes a photo; photo k has the file name ``names[k]``, and between them stand good ones."""
    count = 2 * len(names) + 1
    annotations = [annotation(10 * k + j, k + 1, [5 + j, 6, 30, 20]) for k in range(count) for j in range(3)]
    source = dataset(folder, annotations, photos=count)
    content = read(source)
    for k, name in enumerate(names):
        content["images"][2 * k + 1]["file_name"] = name
    source.write_text(json.dumps(content))
    return source


def test_bad_photos_are_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    save_photo(tmp_path / "secret.png")
    names = {
        "gone.png": "no such file",
        "../secret.png": r"\.\.",
        str(tmp_path / "secret.png"): "absolute",
        "https://example.com/a.png": "URL",
        "link.png": "link",
        "cut.jpg": "truncated",
        "bomb.png": "60000",
        "text.png": "no image",
        "empty.png": "empty",
        "": "empty",
        "folder": "folder",
    }
    source = with_names(folder, list(names))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "folder").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)).save(tmp_path / "whole.jpg")
    (folder / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:20000])
    (folder / "bomb.png").write_bytes(bomb())
    (folder / "text.png").write_text("hello")
    (folder / "empty.png").write_bytes(b"")

    summary = run(source)
    assert summary.exit_code == 1
    good = len(names) + 1
    assert summary.annotations == {"converted": 3 * good, "no_photo": 3 * len(names)}
    assert summary.photos["unreadable"] == len(names) == len(summary.problems)
    for problem, (name, reason) in zip(summary.problems, names.items(), strict=True):
        assert problem.file == name
        assert reason in problem.reason or reason.replace("\\", "") in problem.reason
    before, after = read(source)["annotations"], read(folder / "data.masks.json")["annotations"]
    for k, (old, new) in enumerate(zip(before, after, strict=True)):
        if (k // 3) % 2:
            assert new == old
        else:
            assert new["segmentation"]


@pytest.mark.parametrize("mode", ["L", "LA", "P", "PA", "RGBA", "CMYK", "I;16", "1"])
def test_unusual_pixels(tmp_path: Path, mode: str) -> None:
    source = dataset(tmp_path, [annotation(1, 1, [5, 5, 30, 20])])
    name = "photo1.jpg" if mode == "CMYK" else "photo1.tif" if mode == "PA" else "photo1.png"
    grey = np.linspace(0, 255, 64 * 48).reshape(48, 64).astype(np.uint8)
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "PA":
        image = Image.fromarray(np.dstack([grey, grey])).convert("LA")  # Pillow writes no PA; LA in TIFF stands for it
    else:
        image = Image.fromarray(np.dstack([grey] * 3)).convert(mode)
    image.save(tmp_path / name)
    content = read(source)
    content["images"][0]["file_name"] = name
    source.write_text(json.dumps(content))
    summary = run(source)
    assert summary.exit_code == 0, summary.problems
    assert summary.annotations == {"converted": 1}


def test_the_same_base_name_in_two_folders(tmp_path: Path) -> None:
    source = dataset(tmp_path, [annotation(1, 1, [5, 5, 30, 20]), annotation(2, 2, [5, 5, 30, 20])], photos=2)
    save_photo(tmp_path / "a" / "same.png", width=64, height=48, seed=1)
    save_photo(tmp_path / "b" / "same.png", width=40, height=30, seed=2)
    content = read(source)
    content["images"][0]["file_name"], content["images"][1] = "a/same.png", {"id": 2, "file_name": "b/same.png"}
    source.write_text(json.dumps(content))
    assert run(source, form="rle").exit_code == 0
    sizes = [a["segmentation"]["size"] for a in read(tmp_path / "data.masks.json")["annotations"]]
    assert sizes == [[48, 64], [30, 40]]


def test_a_labeler_that_fails_on_one_photo(tmp_path: Path) -> None:
    annotations = [annotation(k, k % 4 + 1, [5, 5, 20, 20]) for k in range(8)]
    source = dataset(tmp_path, annotations, photos=4)
    summary = run(source, FakeLabeler(fail_on={"1"}, memory_on={"2"}))
    assert summary.exit_code == 1
    assert summary.annotations == {"converted": 4, "failed": 4}
    reasons = {p.annotation: p.reason for p in summary.problems}
    assert set(reasons) == {"1", "5", "2", "6"}
    assert "told to fail" in reasons["1"]
    assert "memory" in reasons["2"]


def test_odd_ids_links_and_missing_tables(tmp_path: Path) -> None:
    annotations = [
        annotation("x", "one", [5, 5, 20, 20], "k"),
        annotation("y", "nowhere", [5, 5, 20, 20], "k"),
        annotation("z", "one", [5, 5, 10, 10], "unknown"),
        {"image_id": "one", "bbox": [1, 1, 9, 9]},
    ]
    source = dataset(tmp_path, annotations)
    content = read(source)
    content["images"][0]["id"] = "one"
    content["categories"] = [{"id": "k", "name": ""}]
    source.write_text(json.dumps(content))
    summary = run(source)
    after = read(tmp_path / "data.masks.json")["annotations"]
    assert summary.annotations == {"converted": 3, "no_image": 1}
    assert [p.annotation for p in summary.problems] == ['"y"']
    assert after[1] == annotations[1]
    assert list(after[3])[:2] == ["image_id", "bbox"]
    assert "id" not in after[3]


def test_output_bytes_do_not_depend_on_what_else_is_converted(tmp_path: Path) -> None:
    boxes = [annotation(k, 1, [3 * k, 2 * k, 20, 18]) for k in range(5)]
    together, alone = dataset(tmp_path / "a", boxes), dataset(tmp_path / "b", boxes[2:3])
    run(together)
    run(alone)
    found = read(tmp_path / "a" / "data.masks.json")["annotations"][2]
    assert found == read(tmp_path / "b" / "data.masks.json")["annotations"][0]
