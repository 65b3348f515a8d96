"""The released configurations with the golden weights, and what they make of the golden images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import recipe
import torch
from torch import Tensor

from openseed_core.conditioning import Context
from openseed_core.config import swin_l_decoupled, swin_t, swin_t_o365_decoupled
from openseed_core.model import Conditioned, Detection, ImageFeatures, OpenSeeD
from openseed_core.postprocess import Frame
from openseed_core.weights.official import official_names

FOLDER = Path(__file__).parent
CONFIGS = {
    "swint_lang": swin_t,
    "swint_lang_o365_decouple": swin_t_o365_decoupled,
    "swinl_lang_decouple": swin_l_decoupled,
}
NAMES = ["cat", "traffic light", "dining table", "sky-other-merged", "grass", "wall-brick"]
THINGS = (0, 1, 2)
FOREGROUND = 300


def build(name: str, *, text: bool = False) -> OpenSeeD:
    """The model with recipe weights. Without ``text`` its text encoder has no layers: a quarter of the time."""
    config = CONFIGS[name](**({} if text else {"text_layers": 0}))
    with torch.device("meta"):
        model = OpenSeeD(config)
    model = model.to_empty(device="cpu").eval()
    for module in model.modules():
        if hasattr(module, "init_non_persistent_buffers"):
            module.init_non_persistent_buffers()
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            official = official_names(key, config)[0]
            if text or not official.startswith(recipe.TEXT_ENCODER + "lang_encoder."):
                value = recipe.recipe_value(official, tuple(tensor.shape))
                tensor.copy_(torch.from_numpy(np.asarray(value)))
    return model


@dataclass(frozen=True)
class Case:
    """One configuration on one golden image.

    Attributes:
        arrays: the golden arrays.
        text: features of the vocabulary, as the golden run had them.
        image, detection: what our model makes of them.
        order: for each golden query, our query.
    """

    name: str
    arrays: dict[str, np.ndarray]
    model: OpenSeeD
    backbone: dict[str, Tensor]
    text: Tensor
    image: ImageFeatures
    detection: Detection
    order: Tensor

    @property
    def frame(self) -> Frame:
        output = tuple(int(side) for side in self.arrays["inst_hw"])
        return Frame(padded=self.image.padded, size=self.image.sizes[0], output=output)

    def conditioned(self, context: Context, rows: slice = slice(None), groups: Tensor | None = None) -> Conditioned:
        """Our answers to the golden conditions ``rows``."""
        height, width = self.image.padded
        cx, cy, w, h = torch.from_numpy(self.arrays["cond_boxes_in"])[rows].unbind(-1)
        boxes = torch.stack(((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height))
        labels = torch.from_numpy(self.arrays["cond_labels_in"])[rows]
        return self.model.masks_for_boxes(
            self.image, boxes.T[None], self.text, labels[None], context=context, groups=groups
        )


def run(model: OpenSeeD, name: str, letter: str) -> Case:
    """Run the model on golden image ``letter``."""
    with np.load(FOLDER / f"{name}_{letter}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    if "text_override" in arrays:
        text = torch.from_numpy(arrays["text_override"])
    else:
        with np.load(FOLDER / f"{name}_text.npz") as file:
            text = torch.from_numpy(file["text_eval"])
    backbone: dict[str, Tensor] = {}
    hook = model.backbone.register_forward_hook(lambda module, args, out: backbone.update(out))
    with torch.inference_mode():
        image = model.encode_image([np.ascontiguousarray(arrays["image_uint8"].transpose(1, 2, 0))])
        detection = model.detect(image, text, all_layers=True)
    hook.remove()
    index = detection.selection.index[0].tolist()
    position = {token: row for row, token in enumerate(index)}
    queries = detection.final.logits.shape[1]
    # a golden token that we did not select points to row 0: the selection's own test says so
    order = [position.get(token, 0) for token in arrays["topk_idx"].tolist()] + list(range(len(index), queries))
    return Case(name, arrays, model, backbone, text, image, detection, torch.tensor(order))
