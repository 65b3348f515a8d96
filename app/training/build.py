"""The model that a run starts from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from app.training.settings import RunSettings, SettingsError
from labelers.named_vocabularies import named
from openseed_core.backbones.csp import CSPBackbone
from openseed_core.config import PRESETS
from openseed_core.model import OpenSeeD
from openseed_core.training.dense import Teacher
from openseed_core.training.nanodet_teacher import NanoDet
from openseed_core.weights.nanodet import load_nanodet
from openseed_core.weights.store import load_model

ANY_NAME = "object"
"""The stand-in for a dropped name."""


def build(settings: RunSettings) -> OpenSeeD:
    """The model that a run starts from: a preset with the initial weights that the settings name.

    Raises:
        SettingsError: there is no such preset.
        WeightsError: ``init`` can't be loaded.
    """
    model = _weighted(settings)
    if settings.logit_scale is not None:
        with torch.no_grad():
            model.logit_scale.fill_(settings.logit_scale)
    return model


def _weighted(settings: RunSettings) -> OpenSeeD:
    if settings.preset not in PRESETS:
        raise SettingsError(f"[run] preset {settings.preset!r} is unknown; use one of {', '.join(PRESETS)}")
    if settings.init is not None:
        return load_model(settings.init)
    model = OpenSeeD(PRESETS[settings.preset]())
    if settings.backbone is not None:
        if not isinstance(model.backbone, CSPBackbone):
            raise SettingsError(f"[run] backbone is for nano; give {settings.preset} weights with init")
        load_nanodet(model.backbone, settings.backbone)
    if settings.text is not None:
        model.text_encoder.load_state_dict({key: value.float() for key, value in load_file(settings.text).items()})
    elif settings.preset == "nano" and settings.features is None:
        # distilled apart from the masks (benchmarks/distil_text.py), so a new training starts from the shipped one
        model.text_encoder.load_state_dict(load_model("nano").text_encoder.state_dict())
    return model


def teacher(settings: RunSettings, model: OpenSeeD) -> Teacher | None:
    """The detector that the settings name, with its classes as ``model`` reads them.

    Raises:
        SettingsError: the file is missing or not NanoDet-g.
    """
    if settings.teacher is None:
        return None
    try:
        detector = NanoDet(settings.teacher)
    except (OSError, KeyError, ValueError) as error:
        raise SettingsError(f"[run] teacher {settings.teacher}: {error}; give a NanoDet-g .npz") from error
    with torch.no_grad():
        text = model.encode_text([entry.prompts for entry in named("coco-80").entries])
    return Teacher(detector, text)


@torch.no_grad()
def text_features(model: OpenSeeD, names: tuple[str, ...], stored: Path | None) -> Tensor:
    """[K + 1, e] features of the names and of ``ANY_NAME``, from the model or from an ``.npz``."""
    wanted = [*names, ANY_NAME]
    if stored is None:
        return model.encode_text([[name] for name in wanted])
    with np.load(stored, allow_pickle=False) as arrays:
        row = {str(name): i for i, name in enumerate(arrays["names"])}
        return torch.from_numpy(arrays["emb"][[row[name] for name in wanted]].astype(np.float32))
