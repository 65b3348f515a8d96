"""Give a model the neck of NanoDet-g, fitted to the model's own backbone, and let its query selection read it.

    python -m benchmarks.fit_neck --init nano --teacher nanodet_g_coco.npz --photos train/images detection/images \\
        --output runs/neck/model

A backbone that was trained for masks has moved away from the detector's, whose neck then reads noise. Here only the
neck is trained, until it gives what the detector's own neck gives on the same photos: no annotation is needed. Then
the selection's class head is written down from the detector's last layer (openseed_core/training/transplant.py).
Masks for given boxes stay bit for bit as they were; training the rest (``nano-select.toml``) comes after.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from labelers.named_vocabularies import named
from labelers.photos import open_photo
from openseed_core.backbones.csp_neck import LEVELS
from openseed_core.config import OpenSeeDConfig
from openseed_core.decoder import tokens_of
from openseed_core.model import OpenSeeD
from openseed_core.preprocess import prepare
from openseed_core.training.conditioned import encoded
from openseed_core.training.losses import quality_focal
from openseed_core.training.nanodet_teacher import NanoDet
from openseed_core.training.photos import Jitter, PhotoRecord, draw_photo
from openseed_core.training.transplant import read_detector
from openseed_core.weights.nanodet import load_neck
from openseed_core.weights.store import load_model, save_model

SIDE, BATCH, RATE = 320, 8, 2e-3
PHOTOS = 96
"""So many show the transplant how tokens and scores vary."""
JITTER = Jitter(size=SIDE, scale=(0.7, 1.5))
BACKGROUND, NAMES = 0.05, 4.0
"""Share of a cell without an object in the feature loss; weight of the class loss beside it."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--init", default="nano", help="model without a neck")
    parser.add_argument("--teacher", type=Path, required=True, help="NanoDet-g .npz")
    parser.add_argument("--photos", type=Path, nargs="+", required=True, help="folders")
    parser.add_argument("--output", type=Path, required=True, help="folder of the new model")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    files = sorted(path for folder in args.photos for path in folder.iterdir())
    model, teacher = grown(load_model(args.init), args.teacher), NanoDet(args.teacher)
    fit(model, teacher, files, steps=args.steps, seed=args.seed)
    listen(model, teacher, files, seed=args.seed)
    save_model(model, args.output, half=True)


def grown(model: OpenSeeD, teacher: Path) -> OpenSeeD:
    """The model with the detector's neck, which nothing listens to yet: its answers are the same."""
    new = OpenSeeD(OpenSeeDConfig(**{**model.config.to_diff_dict(), "neck": True}))
    new.load_state_dict({**new.state_dict(), **model.state_dict()})
    load_neck(new.query_selection.neck, teacher)
    return new.eval()


def listen(model: OpenSeeD, teacher: NanoDet, files: Sequence[Path], *, seed: int) -> None:
    """Let the selection read the neck as the detector's last layer does."""
    rng = np.random.default_rng(seed)
    memories = []
    for _ in range(PHOTOS // BATCH):
        pixels = _drawn(files, rng, model.config)
        with torch.no_grad():
            memories.append(encoded(model, pixels).memory)
    with torch.no_grad():
        text = model.encode_text([entry.prompts for entry in named("coco-80").entries])
    read_detector(model, teacher, text, memories)


def fit(model: OpenSeeD, teacher: NanoDet, files: Sequence[Path], *, steps: int, seed: int) -> None:
    """Train the neck alone on its features and on the classes that the detector reads from them."""
    rng = np.random.default_rng(seed)
    neck = model.query_selection.neck
    parameters = list(neck.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.02)
    bar = tqdm(range(steps), unit="step")
    for _ in bar:
        pixels = _drawn(files, rng, model.config)
        with torch.no_grad():
            target = teacher.neck(_sources(teacher.backbone(pixels)))
            wanted, _ = teacher.read(target, (SIDE, SIDE))
            sources = _sources(model.backbone(pixels))
        found = neck(sources)
        loss = distance(found, target, teacher, wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        schedule.step()
        bar.set_postfix(loss=f"{loss.item():.3f}")


def distance(found: list[Tensor], target: list[Tensor], teacher: NanoDet, wanted: Tensor) -> Tensor:
    """Squared distance of the features, cells with an object first; quality focal loss of the classes.

    Args:
        found, target: [B, WIDTH, h, w], high resolution first. wanted: the detector's probabilities [B, T, K].
    """
    weight = BACKGROUND + wanted.amax(dim=-1)
    far = tokens_of([(a - b).square().mean(dim=1, keepdim=True) for a, b in zip(found, target, strict=True)])[..., 0]
    classes = quality_focal(teacher.class_logits(found), wanted)
    total: Tensor = (far * weight).sum() / weight.sum() + NAMES * classes / wanted.amax(dim=-1).sum().clamp(min=1.0)
    return total


def _sources(maps: dict[str, Tensor]) -> list[Tensor]:
    return [maps[name] for name in LEVELS]


def _drawn(files: Sequence[Path], rng: np.random.Generator, config: OpenSeeDConfig) -> Tensor:
    """``BATCH`` photos, scaled, cut out and mirrored at random: [B, 3, SIDE, SIDE], normalised."""
    images = [draw_photo(_record(files[rng.integers(len(files))]), JITTER, rng).image for _ in range(BATCH)]
    return prepare(images, mean=config.mean, std=config.std).pixels


def _record(path: Path) -> PhotoRecord:
    """A photo of which nothing is annotated."""
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    return PhotoRecord(path.name, open_photo(path.parent, path.name, key=path.name).pixels, *nothing, mask=None)


if __name__ == "__main__":
    main()
