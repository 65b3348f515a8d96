"""``python -m benchmarks.model_speed``: box -> mask by the model alone, run the plain way and our way, stage by stage.

Both ways run in one process, in turn, round by round. Beside each stage stands a floor: its operations divided by the
matrix rate of this machine, plus the bytes that it must at least read and write divided by the copying rate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import plain_model
from benchmarks.machine import describe
from openseed_core.conditioning import Context
from openseed_core.cpu_path import linear
from openseed_core.model import ImageFeatures, OpenSeeD
from openseed_core.preprocess import NetworkInput, prepare
from openseed_core.resample import windows

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
STAGES = ("backbone", "pixel decoder", "decoder", "masks")


@dataclass(frozen=True)
class Question:
    """One photo at network size, its boxes (xyxy pixels) and the names' features."""

    batch: NetworkInput
    boxes: Tensor
    text: Tensor
    labels: Tensor

    @property
    def size(self) -> tuple[int, int]:
        return self.batch.sizes[0]


def question(model: OpenSeeD, *, height: int, width: int, boxes: int, seed: int = 0) -> Question:
    """Noise with a gradient as the photo; boxes with sides from 5 % to 60 % of it, log-uniform, anywhere."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(0, 120, width)[None, :, None] + np.linspace(0, 60, height)[:, None, None]
    photo = (ramp + random.integers(0, 75, (height, width, 3))).astype(np.uint8)
    batch = prepare([photo], mean=model.config.mean, std=model.config.std)
    sides = np.exp(random.uniform(np.log(0.05), np.log(0.6), (boxes, 2))) * (width, height)
    corner = random.uniform(0, 1, (boxes, 2)) * ((width, height) - sides)
    xyxy = torch.from_numpy(np.concatenate((corner, corner + sides), axis=1).astype(np.float32))[None]
    names = min(boxes, 5)
    generator = torch.Generator().manual_seed(seed)
    text = torch.nn.functional.normalize(torch.randn(names, model.config.joint_dim, generator=generator), dim=-1)
    return Question(batch, xyxy, text, (torch.arange(boxes) % names)[None])


class Clock:
    """Processor and wall seconds of one run, by stage."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self.wall: dict[str, float] = {}

    def stage(self, name: str, work: Callable[[], Any]) -> Any:
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        self.cpu[name] = time.process_time() - cpu
        self.wall[name] = time.perf_counter() - wall
        return result


def _encode(model: OpenSeeD, asked: Question, clock: Clock) -> ImageFeatures:
    from openseed_core.decoder import Memory

    maps = clock.stage("backbone", lambda: model.backbone(asked.batch.pixels))
    scales, features = clock.stage("pixel decoder", lambda: model.pixel_decoder(maps))
    padded = (asked.batch.pixels.shape[2], asked.batch.pixels.shape[3])
    return ImageFeatures(tuple(scales), Memory.of(scales, features), asked.batch.sizes, padded)


def run_plain(model: OpenSeeD, asked: Question, clock: Clock) -> Tensor:
    """The conditions' mask logits [N, h, w]."""
    with plain_model.plain_layers():
        image = _encode(model, asked, clock)
        found = clock.stage("decoder", lambda: plain_model.decode(model, image, asked.boxes, asked.text, asked.labels))
    assert found.masks is not None
    masks = found.masks[0]
    clock.stage("masks", lambda: sum(int(part.sum()) for part in plain_model.enlarge(masks, image, asked.size)))
    return masks[: asked.boxes.shape[1]]


def run_ours(model: OpenSeeD, asked: Question, clock: Clock, *, context: Context = Context.SOLO) -> Tensor:
    """As ``run_plain``; masks are enlarged inside of their boxes only."""
    image = _encode(model, asked, clock)
    found = clock.stage(
        "decoder", lambda: model.masks_for_boxes(image, asked.boxes, asked.text, asked.labels, context=context)
    )
    height, width = asked.size
    places = np.clip(asked.boxes[0].round().long().numpy(), 0, (width, height, width, height))

    def inside() -> int:
        parts = windows(found.masks[0], padded=image.padded, size=asked.size, output=asked.size, boxes=places)
        return sum(int((part > 0).sum()) for part in parts)

    clock.stage("masks", inside)
    masks: Tensor = found.masks[0]
    return masks


def rates() -> tuple[float, float]:
    """Floating point operations and bytes a processor second: the best of matrix products and of copies seen here."""
    product = 0.0
    for rows, inner, columns in ((1024, 1024, 1024), (2048, 2048, 2048), (1024, 256, 2048), (1024, 2048, 256)):
        a, layer = torch.randn(rows, inner), torch.nn.Linear(inner, columns)
        for multiply in (layer, lambda x, layer=layer: linear(x, layer)):
            for _ in range(5):
                start = time.process_time()
                for _ in range(4):
                    multiply(a)
                product = max(product, 4 * 2 * rows * inner * columns / (time.process_time() - start))
    source = torch.randn(32 << 20)
    target, copied = torch.empty_like(source), 0.0
    for _ in range(5):
        start = time.process_time()
        target.copy_(source)
        copied = max(copied, 2 * source.numel() * 4 / (time.process_time() - start))
    return product, copied


def operations(model: OpenSeeD, asked: Question) -> dict[str, int]:
    """Operations of our way in matrix products, convolutions and attention, by stage; a multiply-add is two."""
    counted: dict[str, int] = {}

    class Counting(Clock):
        def stage(self, name: str, work: Callable[[], Any]) -> Any:
            with FlopCounterMode(display=False) as counter:
                result = work()
            counted[name] = counter.get_total_flops()
            return result

    with patch("openseed_core.cpu_path._product", lambda: None):  # the counter doesn't know oneDNN's product
        run_ours(model, asked, Counting())
    return counted


def least_bytes(model: OpenSeeD, asked: Question) -> dict[str, int]:
    """Weights once, and each stage's input and output once: no computation can do with less."""
    height, width = asked.batch.pixels.shape[2:]
    with torch.inference_mode():
        maps = model.backbone(asked.batch.pixels)
        scales, features = model.pixel_decoder(maps)

    def size(tensors: Sequence[Tensor]) -> int:
        return sum(t.numel() * 4 for t in tensors)

    between, after = size(list(maps.values())), size([*scales, features])
    masks = asked.boxes.shape[1] * features.shape[2] * features.shape[3] * 4
    boxes = asked.boxes[0]
    inside = int(((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sum()) * 4
    return {
        "backbone": size(list(model.backbone.parameters())) + 3 * height * width * 4 + between,
        "pixel decoder": size(list(model.pixel_decoder.parameters())) + between + after,
        "decoder": size(list(model.decoder.parameters())) + size([features]) + masks,
        "masks": masks + inside,
    }


def measure(model: OpenSeeD, asked: Question, *, rounds: int) -> dict[str, Any]:
    """All numbers of the report."""
    with torch.inference_mode():
        plain, ours, joint = [], [], []
        worst = 0.0
        for k in range(rounds + 1):
            clocks = (Clock(), Clock(), Clock())
            expected = run_plain(model, asked, clocks[0])
            run_ours(model, asked, clocks[1])
            found = run_ours(model, asked, clocks[2], context=Context.JOINT)
            worst = max(worst, float((found - expected).abs().max()))
            if k:  # the first is for warming up
                plain.append(clocks[0])
                ours.append(clocks[1])
                joint.append(clocks[2])
        flops, size = operations(model, asked), least_bytes(model, asked)
        product, copied = rates()
    stages = [
        {
            "stage": name,
            "plain": min(clock.cpu[name] for clock in plain),
            "ours": min(clock.cpu[name] for clock in ours),
            "gigaflop": flops[name] / 1e9,
            "megabytes": size[name] / 1e6,
            "floor": flops[name] / product + size[name] / copied,
        }
        for name in STAGES
    ]
    return {
        "stages": stages,
        "ratio_cpu": statistics.median(_total(a.cpu) / _total(b.cpu) for a, b in zip(plain, ours, strict=True)),
        "ratio_wall": statistics.median(_total(a.wall) / _total(b.wall) for a, b in zip(plain, ours, strict=True)),
        "ratio_cpu_same_context": statistics.median(
            _total(a.cpu) / _total(b.cpu) for a, b in zip(plain, joint, strict=True)
        ),
        "largest_difference": worst,
        "largest_logit": float(expected.abs().max()),
        "gigaflop_a_second": product / 1e9,
        "gigabyte_a_second": copied / 1e9,
        "runs": {"plain": [_as_json(c) for c in plain], "ours": [_as_json(c) for c in ours]},
    }


def _as_json(clock: Clock) -> dict[str, Any]:
    return {"cpu": clock.cpu, "wall": clock.wall}


def _total(seconds: dict[str, float]) -> float:
    return sum(seconds[name] for name in STAGES)


def table(found: dict[str, Any]) -> str:
    """The report in Markdown."""
    lines = ["| stage | plain, s | ours, s | times | GFLOP | MB | floor, s |", "|---|---|---|---|---|---|---|"]
    rows = list(found["stages"])
    keys = ("plain", "ours", "gigaflop", "megabytes", "floor")
    rows.append({"stage": "all", **{key: sum(row[key] for row in rows) for key in keys}})
    for row in rows:
        lines.append(
            f"| {row['stage']} | {row['plain']:.3f} | {row['ours']:.3f} | {row['plain'] / row['ours']:.1f} | "
            f"{row['gigaflop']:.1f} | {row['megabytes']:.0f} | {row['floor']:.3f} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"Paired ratio: {found['ratio_cpu']:.2f} in processor seconds, {found['ratio_wall']:.2f} on the wall; "
            f"{found['ratio_cpu_same_context']:.2f} with our way in the joint context too.",
            f"Largest difference of mask logits in the joint context: {found['largest_difference']:.1e} "
            f"(largest logit {found['largest_logit']:.1f}).",
            f"Rates: {found['gigaflop_a_second']:.0f} GFLOP/s, {found['gigabyte_a_second']:.1f} GB/s.",
        ]
    )


def load(name: str) -> OpenSeeD:
    """``nano`` with its weights; ``swin-t`` with the weights of the golden arrays."""
    if name == "nano":
        from openseed_core.weights.store import load_model

        return load_model("nano")
    sys.path.insert(0, str(GOLDEN))
    import reference

    model: OpenSeeD = reference.build("swint_lang")
    return model


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("swin-t", "nano"), default="swin-t")
    parser.add_argument("--size", default=None, help="HEIGHTxWIDTH; default 800x1200, nano 192x192")
    parser.add_argument("--boxes", type=int, default=None, help="default 20, nano 8")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    small = options.model == "nano"
    height, width = map(int, (options.size or ("192x192" if small else "800x1200")).split("x"))
    machine = describe(options.threads)
    model = load(options.model).to(memory_format=torch.channels_last)
    boxes = options.boxes or (8 if small else 20)
    found = measure(model, question(model, height=height, width=width, boxes=boxes), rounds=options.rounds)
    print(table(found))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, **found}, indent=1))


if __name__ == "__main__":
    main()
