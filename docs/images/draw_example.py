"""Draws example.jpg: the bundled photos with their boxes, and below with the masks made of them.

openseed-label example && python docs/images/draw_example.py openseed-example docs/images/example.jpg
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from app.reports.colours import colour_at
from exporters import masks
from exporters.coco import CocoDocument
from labelers.photos import open_photo

HEIGHT = 300
GAP = 8


def draw(folder: Path) -> Image.Image:
    """Two rows of pictures: boxes given, masks made."""
    columns: list[Image.Image] = []
    with CocoDocument.open(folder / "boxes.masks.json") as document:
        for image in document.images:
            photo = open_photo(folder, image.file_name, key=image.key)
            scale = HEIGHT / photo.height
            size = (round(photo.width * scale), HEIGHT)
            pixels = photo.pixels().astype(np.float32)
            rows = document.annotations(image.row)
            boxed = Image.fromarray(photo.pixels()).resize(size, Image.Resampling.LANCZOS)
            pencil = ImageDraw.Draw(boxed)
            for k, row in enumerate(rows.rows.tolist()):
                colour = colour_at(int(rows.category_rows[k]))
                x, y, w, h = (float(v) * scale for v in rows.xywh[k])
                pencil.rectangle((x, y, min(x + w, size[0] - 2), min(y + h, HEIGHT - 2)), outline=colour, width=3)
                rle = masks.from_coco(document.segmentation(row), photo.height, photo.width)
                if rle is not None:
                    mask = masks.decode(rle)
                    paint = np.array(Image.new("RGB", (1, 1), colour).getpixel((0, 0)), np.float32)
                    pixels[mask] = pixels[mask] * 0.45 + paint * 0.55
            masked = Image.fromarray(pixels.astype(np.uint8)).resize(size, Image.Resampling.LANCZOS)
            column = Image.new("RGB", (size[0], 2 * HEIGHT + GAP), "white")
            column.paste(boxed, (0, 0))
            column.paste(masked, (0, HEIGHT + GAP))
            columns.append(column)
    sheet = Image.new("RGB", (sum(c.width for c in columns) + GAP * (len(columns) - 1), 2 * HEIGHT + GAP), "white")
    left = 0
    for column in columns:
        sheet.paste(column, (left, 0))
        left += column.width + GAP
    return sheet


if __name__ == "__main__":
    draw(Path(sys.argv[1])).save(sys.argv[2], quality=85)
