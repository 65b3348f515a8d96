"""Official checkpoints <-> our modules, key for key (spec sections 0 and 10).

The official files hold the box head under 19 names and the decoder norm under two; we hold each tensor once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.overrides import TorchFunctionMode

from openseed_core.config import OpenSeeDConfig
from openseed_core.model import OpenSeeD
from openseed_core.weights.errors import WeightsError

HEAD = "sem_seg_head."
PIXELS = HEAD + "pixel_decoder."
PREDICTOR = HEAD + "predictor."
TEXT = PREDICTOR + "lang_encoder."

# Our prefix -> the official one; the first that fits counts.
PREFIXES = (
    ("backbone.", "backbone."),
    ("pixel_decoder.level_embed", PIXELS + "transformer.level_embed"),
    ("pixel_decoder.layers.", PIXELS + "transformer.encoder.layers."),
    ("pixel_decoder.adapter_1.conv.", PIXELS + "adapter_1."),
    ("pixel_decoder.layer_1.conv.", PIXELS + "layer_1."),
    ("pixel_decoder.", PIXELS),
    ("text_encoder.", TEXT),
    ("heads.bbox_embed.", PREDICTOR + "_bbox_embed."),
    ("heads.", PREDICTOR),
    ("query_selection.", PREDICTOR),
    ("decoder.", PREDICTOR + "decoder."),
)
# Class weights of a loss that doesn't use them: one per class and a last one; which sets depends on the training.
CRITERIA = {False: {"criterion": 134}, True: {"criterion_coco": 134, "criterion_o365": 366}}
EMPTY_WEIGHT = re.compile(r"criterion(_\w+)?\.empty_weight")
INDEX = "attn.relative_position_index"


@dataclass(frozen=True)
class Imported:
    """An official checkpoint in our names.

    Attributes:
        config: inferred from the tensors.
        state: float32 tensors by our keys, complete.
        notes: harmless differences from the released layouts, one sentence each.
    """

    config: OpenSeeDConfig
    state: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def official_names(key: str, config: OpenSeeDConfig) -> tuple[str, ...]:
    """Every official name of the tensor that we call ``key``; the first is the one that training updates."""
    for ours, theirs in PREFIXES:
        if key.startswith(ours):
            name = theirs + key[len(ours) :]
            break
    else:
        raise WeightsError(f"{key} has no official name; it is not a tensor of this model")
    layers = range(config.decoder_layers)
    if key.startswith("heads.bbox_embed."):
        rest = key.removeprefix("heads.bbox_embed.")
        return (
            name,
            *(f"{PREDICTOR}bbox_embed.{k}.{rest}" for k in layers),
            *(f"{PREDICTOR}decoder.bbox_embed.{k}.{rest}" for k in layers),
        )
    if key.startswith("heads.decoder_norm."):
        return name, f"{PREDICTOR}decoder.norm.{key.removeprefix('heads.decoder_norm.')}"
    return (name,)


def shapes(config: OpenSeeDConfig) -> dict[str, tuple[int, ...]]:
    """Our keys and the shapes that ``config`` gives them."""
    return {key: tuple(tensor.shape) for key, tensor in skeleton(config).state_dict().items()}


def skeleton(config: OpenSeeDConfig) -> OpenSeeD:
    """A model without memory for its tensors (device ``meta``)."""
    with torch.device("meta"), _Unfilled():
        return OpenSeeD(config)


class _Unfilled(TorchFunctionMode):
    """Tensors are not filled with random numbers: on ``meta`` there is nothing to fill, but torch imports its compiler
    to find out, which takes a second."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        name = getattr(function, "__name__", "")
        if name.endswith(("normal_", "uniform_")):
            return args[0] if args else options["tensor"]
        return function(*args, **options)


def unwrapped(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The flat state of a checkpoint: ``{"model": ...}`` opened, leading ``model.`` and ``module.`` cut."""
    state: Mapping[str, Any] = checkpoint
    while isinstance(state.get("model"), Mapping):
        state = state["model"]
    other = tuple(f"{key}: {type(value).__name__}" for key, value in state.items() if not isinstance(value, Tensor))
    if other:
        raise WeightsError("this is not a checkpoint of tensors; it also holds", other)
    while state and all(key.startswith(("model.", "module.")) for key in state):
        state = {key.split(".", 1)[1]: value for key, value in state.items()}
    return dict(state)


def infer_config(state: Mapping[str, Tensor]) -> OpenSeeDConfig:
    """The configuration that a flat official state was made with, from the shapes of its tensors (spec section 0).

    What no tensor tells has the released value: 300 object queries, 4 sampling points, 64 channels a text head.

    Raises:
        WeightsError: a tensor that the sizes are read from is missing or has an impossible shape.
    """
    try:
        return _infer(state)
    except KeyError as error:
        raise WeightsError(
            f"this is not a complete OpenSeeD checkpoint: {error.args[0]} is missing; use a file of a whole model"
        ) from None
    except (IndexError, ValueError, ZeroDivisionError) as error:
        raise WeightsError(
            f"this is not an OpenSeeD checkpoint: its tensors have impossible shapes ({error})"
        ) from None


def _infer(state: Mapping[str, Tensor]) -> OpenSeeDConfig:
    def rows(key: str) -> int:
        return state[key].shape[0]

    def count(pattern: str) -> int:
        return len({match[1] for key in state if (match := re.match(pattern, key))})

    stages = range(count(r"backbone\.layers\.(\d+)\."))
    depths = tuple(count(rf"backbone\.layers\.{i}\.blocks\.(\d+)\.") for i in stages)
    channels = tuple(rows(f"backbone.norm{i}.weight") for i in stages)
    first = "backbone.layers.{}.blocks.0.attn.relative_position_bias_table"
    rows("backbone.patch_embed.norm.weight")
    side = round(rows(first.format(0)) ** 0.5)
    features, extra = [], False
    for j in range(count(re.escape(PIXELS) + r"input_proj\.(\d+)\.")):
        convolution = state[f"{PIXELS}input_proj.{j}.0.weight"]
        if convolution.shape[2] == 3:
            extra = True
        else:
            features.append(f"res{channels.index(convolution.shape[1]) + 2}")
    levels = rows(PIXELS + "transformer.level_embed")
    if levels != len(features) + extra:
        raise ValueError(f"{levels} level embeddings for {len(features) + extra} feature maps")
    layer = PIXELS + "transformer.encoder.layers.0."
    width = state[TEXT + "lang_encoder.positional_embedding"].shape[1]
    background = state.get(PREDICTOR + "query_feat.weight")
    points = 4
    return OpenSeeDConfig(
        backbone="swin",
        backbone_channels=channels,
        swin_depths=depths,
        swin_heads=tuple(state[first.format(i)].shape[1] for i in stages),
        swin_window=(side + 1) // 2,
        encoder_features=tuple(features),
        extra_level=extra,
        hidden_dim=rows(PREDICTOR + "class_embed"),
        heads=rows(layer + "self_attn.attention_weights.bias") // (levels * points),
        points=points,
        encoder_layers=count(re.escape(PIXELS) + r"transformer\.encoder\.layers\.(\d+)\."),
        encoder_ffn_dim=rows(layer + "linear1.bias"),
        decoder_layers=count(re.escape(PREDICTOR) + r"decoder\.layers\.(\d+)\."),
        decoder_ffn_dim=rows(PREDICTOR + "decoder.layers.0.linear1.bias"),
        background_queries=0 if background is None else background.shape[0],
        joint_dim=state[PREDICTOR + "class_embed"].shape[1],
        text_context=rows(TEXT + "lang_encoder.positional_embedding"),
        text_width=width,
        text_layers=count(re.escape(TEXT) + r"lang_encoder\.resblocks\.(\d+)\."),
        text_heads=width // 64,
        top_instances=100 if background is None else 300,
    )


def import_official(checkpoint: Mapping[str, Any]) -> Imported:
    """An official checkpoint, flat or wrapped, in our names.

    Raises:
        WeightsError: keys are missing, unexpected or of another shape, tied copies differ; all are listed.
    """
    given = unwrapped(checkpoint)
    config = infer_config(given)
    left = dict(given)
    state: dict[str, Tensor] = {}
    missing: list[str] = []
    problems: list[str] = []
    for key, shape in shapes(config).items():
        names = official_names(key, config)
        missing += [name for name in names if name not in left]
        copies = {name: left.pop(name) for name in names if name in left}
        for name, tensor in copies.items():
            if tuple(tensor.shape) != shape:
                problems.append(f"wrong shape: {name} is {list(tensor.shape)}, expected {list(shape)}")
            elif not torch.equal(tensor, next(iter(copies.values()))):
                problems.append(f"tied but different: {name} should equal {next(iter(copies))}")
        if names[0] in copies:
            state[key] = copies[names[0]].float()
    for name, index in _indices(config):
        found = left.pop(name, None)
        if found is None:
            missing.append(name)
        elif not torch.equal(found.long(), index):
            problems.append(f"wrong values: {name} is not that of a {config.swin_window} x {config.swin_window} window")
    notes = _take_criteria(left, config)
    problems += [f"missing: {name}" for name in missing]
    problems += [f"unexpected: {name} {list(tensor.shape)}" for name, tensor in left.items()]
    if problems:
        raise WeightsError(
            f"this is not a complete OpenSeeD checkpoint of the released layouts ({len(problems)} findings); "
            "use the file as it was released, or one that was exported by this tool",
            tuple(problems),
        )
    return Imported(config, state, notes)


def export_official(model: OpenSeeD) -> dict[str, Tensor]:
    """The model's tensors under all their official names, on the CPU, as the released files hold them.

    Raises:
        WeightsError: the model is of a kind that was never released.
    """
    return official_state(model.state_dict(), model.config)


def official_state(state: Mapping[str, Tensor], config: OpenSeeDConfig) -> dict[str, Tensor]:
    """As ``export_official`` from our tensors by our names; tied copies share their memory."""
    if config.backbone != "swin" or config.box_content or config.text_token_dim:
        raise WeightsError(
            f"a model with backbone {config.backbone!r}, box_content {config.box_content} and text_token_dim "
            f"{config.text_token_dim} has no official layout; keep it as safetensors"
        )
    found: dict[str, Tensor] = {}
    for key, tensor in state.items():
        for name in official_names(key, config):
            found[name] = tensor.detach().cpu()
    found.update(_indices(config))
    for name, classes in CRITERIA[config.decoupled].items():
        weight = torch.ones(classes)
        weight[-1] = 0.1
        found[f"{name}.empty_weight"] = weight
    return found


def read_tensors(path: Path) -> dict[str, Any]:
    """The contents of a ``.pt``/``.pth`` (tensors only, never code) or ``.safetensors`` file.

    Raises:
        WeightsError: the file can't be read as such.
        OSError: there is no such file, or it may not be read.
    """
    path.stat()  # a missing file is an error of its own, not a damaged one
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error}); fetch it again") from None
    except Exception as error:  # torch raises RuntimeError, UnpicklingError, EOFError and more for damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(
            f"{path}: not a readable checkpoint of tensors ({reason[:200]}); fetch it again, "
            "or save only its tensors with torch.save(state_dict, file)"
        ) from None
    if not isinstance(loaded, Mapping):
        raise WeightsError(f"{path}: holds a {type(loaded).__name__}, not tensors by name; use a state dict")
    return dict(loaded)


def _indices(config: OpenSeeDConfig) -> Iterator[tuple[str, Tensor]]:
    from timm.models.swin_transformer import get_relative_position_index  # slow to import, and nano needs no Swin

    window = config.swin_window
    for i, depth in enumerate(config.swin_depths):
        for j in range(depth):
            yield f"backbone.layers.{i}.blocks.{j}.{INDEX}", get_relative_position_index(window, window)


def _take_criteria(left: dict[str, Tensor], config: OpenSeeDConfig) -> tuple[str, ...]:
    """Take the loss buffers out of ``left``; they depend on the training's data sets, so differences are notes."""
    expected = {f"{name}.empty_weight": classes for name, classes in CRITERIA[config.decoupled].items()}
    found = {name: left.pop(name) for name in list(left) if EMPTY_WEIGHT.fullmatch(name)}
    notes = [f"{name} is missing; the model doesn't use it" for name in expected if name not in found]
    for name, tensor in found.items():
        if tensor.numel() != expected.get(name):
            notes.append(f"{name} has {tensor.numel()} entries: trained with {tensor.numel() - 1} classes; not used")
    return tuple(notes)
