"""What the page makes of a mask's run lengths, against pycocotools: pixels, hit test, picture, outline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canvas_driver import Canvas, Server

from exporters.masks import encode

pytestmark = pytest.mark.slow

HEIGHT, WIDTH = 37, 41

READ = """async ({rle, width, height}) => {
  const [{decodeRle, covers}, {outlineOf}, {tinted}] = await Promise.all(
    ['rle', 'outline', 'tint'].map((name) => import(`/static/canvas/${name}.js`)));
  const shape = decodeRle(rle);
  if (!shape) return null;
  const all = (see) => Array.from({length: height}, (_, y) => Array.from({length: width}, (_, x) => Number(see(x, y))));
  // segments -> a filled area: the upright ones of each row, left to right, are its borders
  const lines = [];
  const spy = {moveTo: (x, y) => lines.push([x, y]), lineTo: (x, y) => lines.at(-1).push(x, y)};
  const Kept = globalThis.Path2D;
  globalThis.Path2D = function () { return spy; };
  outlineOf(shape);
  globalThis.Path2D = Kept;
  const inside = (x, y) => lines.filter(([ax, ay, bx, by]) =>
    ax === bx && ax <= x && Math.min(ay, by) <= y && y < Math.max(ay, by)).length % 2;
  const below = (x, y) => lines.filter(([ax, ay, bx, by]) =>
    ay === by && ay <= y && Math.min(ax, bx) <= x && x < Math.max(ax, bx)).length % 2;
  const picture = tinted(shape, '#102030').level(0);
  const {data} = picture.getContext('2d').getImageData(0, 0, picture.width, picture.height);
  return {
    box: [shape.x, shape.y, shape.width, shape.height],
    covers: all((x, y) => covers(shape, x + 0.5, y + 0.5)),
    across: all(inside),
    down: all(below),
    colour: Array.from(data.slice(data.findIndex((value) => value > 0), data.findIndex((value) => value > 0) + 4)),
    picture: Array.from({length: picture.height}, (_, y) =>
      Array.from({length: picture.width}, (_, x) => Number(data[4 * (y * picture.width + x) + 3] > 0))),
  };
}"""


def masks() -> list[Any]:
    random = np.random.default_rng(3)
    noise = random.random((HEIGHT, WIDTH)) > 0.5
    ring = np.zeros((HEIGHT, WIDTH), bool)
    ring[5:30, 4:33] = True
    ring[10:20, 9:20] = False
    pixel = np.zeros((HEIGHT, WIDTH), bool)
    pixel[HEIGHT - 1, WIDTH - 1] = True
    wrapped = np.zeros((HEIGHT, WIDTH), bool)  # runs that reach the bottom and go on at the top
    wrapped[:, 3:7] = True
    wrapped[20:, 7] = True
    return [noise, ring, pixel, wrapped, np.ones((HEIGHT, WIDTH), bool)]


@pytest.fixture(scope="module")
def server(examples: Path, serve: Callable[..., Server]) -> Server:
    return serve(examples / "boxes.json", "--labeler", "rectangle")


@pytest.fixture
def canvas(server: Server, visit: Callable[..., Canvas]) -> Canvas:
    return visit(server)


def read(canvas: Canvas, mask: Any) -> Any:
    rle = encode(mask)
    text = {"size": rle["size"], "counts": rle["counts"].decode()}
    return canvas.page.evaluate(READ, {"rle": text, "width": WIDTH, "height": HEIGHT})


def test_runs_become_the_same_pixels_everywhere(canvas: Canvas) -> None:
    for mask in masks():
        found = read(canvas, mask)
        ys, xs = np.nonzero(mask)
        x, y, width, height = xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1
        assert found["box"] == [x, y, width, height]
        assert (np.array(found["covers"]) == mask).all()
        assert (np.array(found["across"]) == mask).all(), "upright borders"
        assert (np.array(found["down"]) == mask).all(), "level borders"
        assert (np.array(found["picture"]) == mask[y : y + height, x : x + width]).all()
        assert found["colour"] == [0x10, 0x20, 0x30, 255]


def test_an_empty_mask_has_no_shape(canvas: Canvas) -> None:
    assert read(canvas, np.zeros((HEIGHT, WIDTH), bool)) is None
