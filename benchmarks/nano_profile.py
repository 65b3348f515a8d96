"""Where the time of ``nano`` goes, from JPEG to RLE: CPU milliseconds of each stage, in one thread, for each runtime.

Run it from the repository: ``OMP_NUM_THREADS=1 python -m benchmarks.nano_profile``. The stages are the labeler's own
functions, called one after the other; on several cores they overlap, so a photo takes less than their sum.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from app.examples import PHOTOS
from benchmarks.photos import BUNDLED, NAMES, SpeedPhoto, find_photos, parse_size, resized, with_boxes
from exporters.masks import paste
from labelers.build import RUNTIMES
from labelers.photos import open_photo
from labelers.quality import quality
from labelers.records import Boxes
from labelers.threshold import fitting_level
from labelers.vocabulary import Vocabulary
from labelers.windows import touched

STAGES = ("read", "crop", "encode", "decode", "enlarge", "threshold", "score", "RLE")


def stages(labeler: Any, photo: SpeedPhoto) -> dict[str, float]:
    """CPU milliseconds of each stage for one photo, and how many crops were encoded ("crops")."""
    import torch

    from labelers.answers import MASK_MARGIN
    from labelers.views import network_boxes, network_image

    spent = dict.fromkeys(STAGES, 0.0)

    def timed(stage: str, call: Callable[..., Any], *arguments: Any) -> Any:
        start = time.process_time()
        result = call(*arguments)
        spent[stage] += 1000 * (time.process_time() - start)
        return result

    path = Path(photo.path)
    opened = timed("read", labeler.open, open_photo(path.parent, path.name, key="1"))
    height, width = opened.pixels.shape[:2]
    boxes = Boxes(np.array(photo.boxes, np.float32), photo.names).clamped(height=height, width=width)
    text = labeler.text(photo.names, Vocabulary())
    views = opened.views(boxes, range(len(boxes)))
    with torch.inference_mode():
        for view, rows in views.items():
            image, size = timed("crop", network_image, opened.pixels, view, labeler.model.config)
            features = timed("encode", labeler.runtime.encode, [image], size)
            step, window = labeler.step(view, len(rows)), view.window
            corner, output = [window.x0, window.y0] * 2, (window.y1 - window.y0, window.x1 - window.x0)
            for start in range(0, len(rows), step):
                asked = rows[start : start + step]
                padded = [*asked, *[asked[-1]] * (step - len(asked))]
                inputs = torch.from_numpy(network_boxes(boxes.xyxy[padded], window, size))[None]
                logits = timed("decode", labeler.runtime.masks, features, inputs, text[padded])[0, : len(asked)]
                reach = {"height": height, "width": width, "margin": MASK_MARGIN}
                local = np.array([touched(box, **reach) for box in boxes.xyxy[asked]]) - corner
                local = np.clip(local, 0, [output[1], output[0]] * 2)
                found = timed("enlarge", _probabilities, logits, features.padded, size, output, local)
                for probability, row, (x0, y0, _, _) in zip(found, asked, local.tolist(), strict=True):
                    at = (x0 + window.x0, y0 + window.y0)
                    mask = timed("threshold", _thresholded, probability, boxes.xyxy[row], *at)
                    timed("score", quality, probability, mask, boxes.xyxy[row], *at)
                    timed("RLE", paste, mask, *at, height, width)
    return {**spent, "crops": len(views)}


def _probabilities(logits: Any, padded: Any, size: Any, output: Any, boxes: Any) -> list[Any]:
    from openseed_core.resample import windows

    return [part.sigmoid_().numpy() for part in windows(logits, padded=padded, size=size, output=output, boxes=boxes)]


def _thresholded(probability: Any, box: Any, x0: int, y0: int) -> Any:
    return probability > fitting_level(probability, box, x0, y0)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nano_profile", description=__doc__.splitlines()[0])
    parser.add_argument("--runtimes", default=",".join(RUNTIMES), metavar="NAMES", help="comma separated")
    parser.add_argument("--size", default="640x480", metavar="WxH", help="of the photos (default: 640x480)")
    parser.add_argument("--boxes", type=int, default=20, metavar="N", help="boxes a photo (default: 20)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds over four photos (default: 5)")
    args = parser.parse_args(argv)

    import torch

    from labelers.conditioned import ConditionedLabeler

    torch.set_num_threads(1)
    labelers = {
        name: ConditionedLabeler.from_model(device="cpu", runtime=name, calibration=PHOTOS)
        for name in args.runtimes.split(",")
    }
    for labeler in labelers.values():
        labeler.text(NAMES, Vocabulary())
    with tempfile.TemporaryDirectory(prefix="openseed-profile-") as folder:
        photos = with_boxes(
            resized(find_photos(BUNDLED, limit=4), parse_size(args.size), Path(folder)), count=args.boxes
        )
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in labelers}
        for number in range(args.rounds + 1):
            for photo in photos:
                for name, labeler in labelers.items():
                    found = stages(labeler, photo)
                    if number:  # the first round warms up
                        runs[name].append(found)
    print(f"CPU ms a photo of {args.size} with {args.boxes} boxes, one thread, median of {len(photos) * args.rounds}\n")
    print("| runtime | crops | " + " | ".join(STAGES) + " | sum |")
    print("|---" * (len(STAGES) + 3) + "|")
    for name, found in runs.items():
        cells = [f"{median(run[stage] for run in found):.1f}" for stage in STAGES]
        total = median(sum(run[stage] for stage in STAGES) for run in found)
        print(f"| {name} | {median(run['crops'] for run in found):g} | {' | '.join(cells)} | {total:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
