"""The model as transformers knows models: ``from_pretrained``, ``save_pretrained``, the Hugging Face hub.

In a module of its own because ``PreTrainedModel`` imports much that labeling never uses, and takes seconds to do so.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from openseed_core.config import OpenSeeDConfig
from openseed_core.model import OpenSeeD


class PretrainedOpenSeeD(OpenSeeD, PreTrainedModel):  # type: ignore[misc]  # transformers is not followed by mypy
    """``OpenSeeD`` with the methods of transformers' models."""

    config_class = OpenSeeDConfig
    base_model_prefix = ""
    main_input_name = "pixels"
    _no_split_modules = ()

    def __init__(self, config: OpenSeeDConfig) -> None:
        super().__init__(config)
        PreTrainedModel.post_init(self)

    def _begin(self, config: OpenSeeDConfig) -> None:
        PreTrainedModel.__init__(self, config)

    @classmethod
    def from_pretrained(cls, *args: Any, **options: Any) -> PretrainedOpenSeeD:
        """Of transformers, not of ``OpenSeeD``, which calls this one."""
        found: PretrainedOpenSeeD = super(OpenSeeD, cls).from_pretrained(*args, **options)
        return found

    def save_pretrained(self, *args: Any, **options: Any) -> None:
        """Of transformers, not of ``OpenSeeD``, which calls this one."""
        super(OpenSeeD, self).save_pretrained(*args, **options)

    @staticmethod
    def of(model: OpenSeeD) -> PretrainedOpenSeeD:
        """The same tensors, not copied, as a model of transformers."""
        if isinstance(model, PretrainedOpenSeeD):
            return model
        with torch.device("meta"):
            twin = PretrainedOpenSeeD(model.config)
        twin.load_state_dict(model.state_dict(), assign=True)
        return twin
