"""Run by Ultralytics' own environment: TASK DATA.YAML -> what its data-set loader finds, as JSON in the last line."""

import json
import sys

import numpy as np
from pycocotools import mask as coco_mask
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import check_det_dataset, polygon2mask


def main(task, yaml):
    data = check_det_dataset(yaml, autodownload=False)
    items = []
    for split in ("train", "val", "test"):
        if not data.get(split):
            continue
        for label in YOLODataset(img_path=data[split], data=data, task=task, augment=False).labels:
            height, width = (int(n) for n in label["shape"])
            objects = []
            for k, cls in enumerate(label["cls"].reshape(-1)):
                found = {"label": data["names"][int(cls)], "box": [float(v) for v in label["bboxes"][k]]}
                if task == "segment":
                    points = label["segments"][k] * [width, height]
                    (found["rle"],) = coco_mask.frPyObjects([points.ravel().tolist()], height, width)
                    # as its loader draws masks for training, without downsampling: OpenCV also fills the line
                    drawn = polygon2mask((height, width), points.reshape(1, -1), color=1)
                    found["drawn"] = coco_mask.encode(np.asfortranarray(drawn.astype(np.uint8)))
                    for name in ("rle", "drawn"):
                        found[name] = {"size": [height, width], "counts": found[name]["counts"].decode()}
                objects.append(found)
            items.append(
                {"file": label["im_file"], "split": split, "height": height, "width": width, "objects": objects}
            )
    print()
    print(json.dumps({"names": data["names"], "items": items}))


main(*sys.argv[1:])
