"""Run by datumaro's own environment: FORMAT PATH -> what datumaro finds there, as JSON in the last line."""

import json
import sys

import datumaro
import numpy as np
from pycocotools import mask as coco_mask


def rle_of(annotation, height, width):
    kind = annotation.type.name
    if kind == "mask":
        found = coco_mask.encode(np.asfortranarray(np.asarray(annotation.image, bool).astype(np.uint8)))
    elif kind == "polygon":
        found = coco_mask.merge(coco_mask.frPyObjects([list(annotation.points)], height, width))
    else:
        return None
    return {"size": [int(n) for n in found["size"]], "counts": found["counts"].decode()}


def main(name, path):
    found = datumaro.Dataset.import_from(path, name)
    names = [label.name for label in found.categories()[datumaro.AnnotationType.label]]
    items = []
    for item in found:
        height, width = item.media.size
        annotations = [
            {
                "type": a.type.name,
                "label": names[a.label],
                "id": a.id,
                "group": a.group,
                "area": float(a.get_area()),
                "bbox": [float(value) for value in a.get_bbox()],
                "crowd": bool(a.attributes.get("is_crowd", False)),
                "rle": rle_of(a, height, width),
            }
            for a in item.annotations
            if a.type.name in ("mask", "polygon", "bbox")
        ]
        items.append(
            {"id": item.id, "subset": item.subset, "height": height, "width": width, "annotations": annotations}
        )
    print()
    print(json.dumps({"names": names, "items": items}))


main(*sys.argv[1:])
