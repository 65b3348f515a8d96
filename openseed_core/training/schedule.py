"""Optimisation settings: learning rates over the steps, and which parameter gets which (spec 8.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

SLOW = ("backbone.", "text_encoder.")
FROZEN_TEXT = ("text_encoder.lang_encoder.", "text_encoder.lang_proj")


@dataclass(frozen=True)
class Schedule:
    """Optimisation settings.

    Attributes:
        steps: length of the run.
        shape: ``cosine``: the learning rate falls to 0 along a half cosine; ``drops``: it is divided by 10 at each
            of ``drops`` (shares of the run; the released models: 327,778 and 355,092 of 368,750).
        lr: peak learning rate of the transformer parts; backbone_lr: of the backbone and a trained text encoder.
        warmup: steps of linear warm-up.
        weight_decay, clip: AdamW decay and the global gradient norm limit.
        average: decay of the moving average of the weights, which is what gets saved as the model; 0 = none.
        save_every, report_every: steps between checkpoints and between progress reports.
        keep: checkpoints kept; older ones are deleted.
        validate_every: steps between validations; 0 = only at the end.
        freeze: parameter name prefixes that aren't trained.
        bad_steps: so many steps in a row may have a loss or gradient that isn't finite; they are skipped.
    """

    steps: int = 10000
    shape: Literal["cosine", "drops"] = "cosine"
    drops: tuple[float, ...] = (0.889, 0.963)
    lr: float = 5e-4
    backbone_lr: float = 1.5e-4
    warmup: int = 200
    weight_decay: float = 0.05
    clip: float = 1.0
    average: float = 0.998
    save_every: int = 250
    keep: int = 2
    report_every: int = 20
    validate_every: int = 0
    freeze: tuple[str, ...] = FROZEN_TEXT
    bad_steps: int = 5

    def factor(self, step: int) -> float:
        """What the peak learning rates are multiplied with at a step."""
        warm = min((step + 1) / max(self.warmup, 1), 1.0)
        if self.shape == "drops":
            return warm * 0.1 ** sum(step >= share * self.steps for share in self.drops)
        return warm * 0.5 * (1 + math.cos(math.pi * min(step / self.steps, 1.0)))


def parameter_groups(model: nn.Module, schedule: Schedule) -> list[dict[str, Any]]:
    """AdamW groups with their peak rate ``peak``: backbone and text slower; no decay for norms and embeddings.

    As in the reference, plain parameters and biases decay (spec 8.2). Freezes what the schedule says.
    """
    whole = {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d, nn.Embedding))
        for name, _ in module.named_parameters(recurse=False)
    }
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(schedule.freeze))
        if parameter.requires_grad:
            plain = name in whole or name.endswith("relative_position_bias_table")
            groups.setdefault((name.startswith(SLOW), plain), []).append(parameter)
    return [
        {
            "params": parameters,
            "peak": schedule.backbone_lr if slow else schedule.lr,
            "lr": 0.0,
            "weight_decay": 0.0 if plain else schedule.weight_decay,
        }
        for (slow, plain), parameters in groups.items()
    ]
