"""The report page: worst first, capped, self-contained, and safe to open whatever the names are."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import annotation, dataset, many, read, save_photo
from fakes import FakeLabeler
from PIL import Image

from app.convert import Settings, convert
from app.reports import build
from app.reports.colours import colour_at
from app.reports.thumbnails import SIDE, thumbnail
from exporters.masks import encode


class Page(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(source: Path, labeler: FakeLabeler | None = None, **options: Any) -> str:
    report = source.with_name("report.html")
    convert(Settings.of(source=source, output=None, report=report, **options), labeler=labeler or FakeLabeler())
    return report.read_text("utf-8")


def scores_in(text: str) -> list[float]:
    return [float(value) for value in re.findall(r"class='score \w+'>([\d.]+)<", text)]


def test_worst_score_first_and_one_card_for_each_mask(tmp_path: Path) -> None:
    text = page_of(many(tmp_path, photos=4, boxes=5))
    scores = scores_in(text)
    assert len(scores) == 20
    assert scores == sorted(scores)
    assert "All 20 masks" in text


def test_the_number_of_cards_is_capped_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.write_report, "__kwdefaults__", {"limit": 6})
    text = page_of(many(tmp_path, photos=4, boxes=5))
    assert "The 6 lowest scores of 20 masks" in text
    after = read(tmp_path / "data.masks.json")["annotations"]
    lowest = sorted(a["openseed_label"]["score"] for a in after)[:6]
    assert np.allclose(scores_in(text), lowest, atol=0.006)


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    text = page_of(many(tmp_path, photos=1, boxes=2))
    page = Page(text)
    sources = [a.get(k) for _, a in page.tags for k in ("src", "href") if k in a]
    assert sources
    assert all(str(source).startswith("data:image/jpeg;base64,") for source in sources)
    assert "default-src 'none'" in str([a.get("content") for a in page.all("meta")])
    assert not re.search(r"https?://", text)


def test_names_from_the_data_cannot_become_markup(tmp_path: Path) -> None:
    nasty = "<script>alert(1)</script>\"'&{}$title"
    categories = [{"id": 0, "name": nasty}]
    file_name = "x\"'><img onerror=1>.png"
    source = dataset(
        tmp_path, [annotation("</figure><b>", 1, [5, 5, 20, 20]), annotation(2, 2, [1, 1, 9, 9])], photos=2
    )
    (tmp_path / "photo1.png").rename(tmp_path / file_name)
    content = read(source) | {"categories": categories}
    content["images"][0]["file_name"] = file_name
    content["images"][1]["file_name"] = "gone<i>\udc80.png"
    source.write_text(json.dumps(content))
    page = Page(page_of(source))
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert not page.all("i")
    assert page.all("figure")[0]["data-name"] == nasty
    assert page.all("small")[0]["title"] == file_name


def test_failures_are_listed_and_a_page_without_masks_is_a_page(tmp_path: Path) -> None:
    source = many(tmp_path, photos=2, boxes=2)
    text = page_of(source, FakeLabeler(fail_on={"0", "1"}))
    assert "There are no masks." in text
    assert text.count("told to fail") == 4
    assert "4 to look at" in text


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    pages = [page_of(many(tmp_path / name, photos=3, boxes=3)) for name in ("one", "two")]
    assert pages[0] == pages[1]


def test_rotated_photos_are_shown_upright(tmp_path: Path) -> None:
    source = dataset(tmp_path, [annotation(1, 1, [0, 0, 64, 48])])
    save_photo(tmp_path / "photo1.jpg", width=64, height=48, orientation=6)
    content = read(source)
    content["images"][0]["file_name"] = "photo1.jpg"
    source.write_text(json.dumps(content))
    text = page_of(source)
    uri = str(Page(text).all("image")[0]["href"]).partition(",")[2]
    picture = Image.open(io.BytesIO(base64.b64decode(uri)))
    assert picture.height > picture.width


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (395, 295, 400, 300), (10, 10, 390, 40), (150, 100, 160, 105)])
def test_a_thumbnail_has_mask_and_box_where_they_are(box: tuple[int, int, int, int]) -> None:
    x0, y0, x1, y1 = box
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[y0:y1, x0:x1] = 255
    mask = np.zeros((300, 400), bool)
    mask[y0:y1, x0:x1] = True
    found = thumbnail(pixels, encode(mask), np.array(box, np.float32))
    assert max(found.width, found.height) <= SIDE
    points = np.array([float(v) for v in re.findall(r"-?[\d.]+", found.mask)]).reshape(-1, 2)
    left, top, width, height = found.box
    assert np.abs(points.min(axis=0) - [left, top]).max() <= 1.1
    assert np.abs(points.max(axis=0) - [left + width, top + height]).max() <= 1.1
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(found.jpeg.partition(",")[2]))).convert("L"))
    assert picture[int(top + height / 2), int(left + width / 2)] > 128
    outside = np.ones(picture.shape, bool)
    outside[max(int(top) - 12, 0) : int(top + height) + 12, max(int(left) - 12, 0) : int(left + width) + 12] = False
    assert not outside.any() or picture[outside].mean() < 30


def test_colours_are_stable_and_differ() -> None:
    assert colour_at(3) == colour_at(3)
    assert all(re.fullmatch(r"#[0-9a-f]{6}", colour_at(k)) for k in range(-1, 1300))
    assert len({colour_at(k) for k in range(100)}) == 100
