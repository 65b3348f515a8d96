"""The bundled photos with masks drawn by hand, in the frame of the upright photo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.evaluation.truth import read_truth
from exporters.coco import CocoDocument
from exporters.label_studio_regions import mask_of, rectangle_region
from exporters.masks import area
from exporters.runs import intersection
from labelers.records import RLE

EXAMPLES = Path(__file__).parents[3] / "app" / "examples"


@dataclass(frozen=True)
class Example:
    """One photo: its file, upright size, and for each object a name, a box xyxy and a mask."""

    path: Path
    height: int
    width: int
    names: tuple[str, ...]
    boxes: tuple[tuple[float, float, float, float], ...]
    masks: tuple[RLE, ...]

    def rectangles(self, **more: Any) -> list[dict[str, Any]]:
        """The boxes as regions of the control ``rect``, called box0, box1, ..."""
        return [
            {
                **rectangle_region(
                    box,
                    height=self.height,
                    width=self.width,
                    label=name,
                    from_name="rect",
                    to_name="image",
                    region_id=f"box{number}",
                ),
                **more,
            }
            for number, (name, box) in enumerate(zip(self.names, self.boxes, strict=True))
        ]


def examples() -> list[Example]:
    """All bundled photos; one of them is EXIF-rotated."""
    found = []
    with CocoDocument.open(EXAMPLES / "truth.json") as document:
        for image in document.images:
            truth = read_truth(document, EXAMPLES, image.row)
            boxes = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in truth.boxes.xyxy.tolist())
            found.append(
                Example(
                    EXAMPLES / image.file_name,
                    truth.header.height,
                    truth.header.width,
                    truth.boxes.names,
                    boxes,
                    tuple(truth.masks),
                )
            )
    return found


def labels() -> list[str]:
    return list(dict.fromkeys(name for example in examples() for name in example.names))


def config(*controls: str) -> str:
    """A labeling config with smart rectangles called ``rect`` and these controls, named after their tags."""
    options = "".join(f'<Label value="{name}"/>' for name in labels())
    tags = "".join(f'<{tag} name="{tag}" toName="image">{options}</{tag}>' for tag in controls)
    smart = "".join(
        f'<{tag} name="{name}" toName="image" smart="true">{options}</{tag}>'
        for tag, name in (("RectangleLabels", "rect"), ("KeyPointLabels", "point"))
    )
    return f'<View><Image name="image" value="$image" zoom="true"/>{smart}{tags}</View>'


def overlap(region: dict[str, Any], truth: RLE) -> float:
    """IoU of a region with a true mask."""
    height, width = truth["size"]
    found = mask_of(region, height=height, width=width)
    if found is None:
        return 0.0
    shared = area(intersection(found, truth))
    return shared / (area(found) + area(truth) - shared)
