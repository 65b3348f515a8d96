"""One door to every model: a name, a saved folder, an official checkpoint, or our own file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from openseed_core.config import PRESETS, OpenSeeDConfig
from openseed_core.model import OpenSeeD
from openseed_core.weights import files, registry
from openseed_core.weights.errors import WeightsError
from openseed_core.weights.files import TENSORS, fingerprint, weights_file
from openseed_core.weights.official import export_official, import_official, read_tensors, skeleton

SETTINGS = "config.json"
METADATA = "openseed_config"  # configuration inside a lone safetensors file
CHECKPOINTS = (".pt", ".pth", ".bin", ".pkl")


def load_model(name_or_path: str | Path = "nano", *, device: torch.device | str = "cpu") -> OpenSeeD:
    """A model in float32, ready for use (evaluation mode), with ``fingerprint`` set.

    Args:
        name_or_path: ``nano`` (embedded), the name of fetched weights, a folder made by ``save_pretrained``, an
            official checkpoint, or a ``.safetensors`` file of this tool or of official names.
        device: where to put it.

    Raises:
        WeightsError: there is no such model, or its file is damaged, incomplete or of another model.
    """
    path = locate(name_or_path)
    config, state = _read(path)
    model = build(config, state)
    model.fingerprint = fingerprint(path)
    moved: OpenSeeD = model.to(device)
    return moved


def locate(name_or_path: str | Path) -> Path:
    """The file or folder that ``load_model`` would read.

    Raises:
        WeightsError: there is none; the message says what to do.
    """
    found = weights_file(name_or_path)
    if found is not None:
        return found
    name = str(name_or_path)
    if name == "nano":
        raise WeightsError(
            f"the embedded weights are missing ({files.EMBEDDED / name / TENSORS}); install the package again"
        )
    if name in {entry.name for entry in registry.RELEASES}:
        raise WeightsError(
            f"the weights of {name} are not on this machine; run: openseed-label models fetch {name}\n"
            "or give a file that you have with --weights FILE"
        )
    if name in PRESETS:
        raise WeightsError(f"no weights are released for {name}; give a file that you have with --weights FILE")
    known = ", ".join(dict.fromkeys(["nano", *(entry.name for entry in registry.RELEASES)]))
    raise WeightsError(f"{name}: no such file or model; give a weights file or one of: {known}")


def build(config: OpenSeeDConfig, state: Mapping[str, Tensor]) -> OpenSeeD:
    """A model with exactly these tensors; they are used, not copied, when they are float32 already.

    Raises:
        WeightsError: tensors are missing, unexpected or of another shape than ``config`` gives; all are listed.
    """
    model = skeleton(config)
    expected = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    problems = [f"missing: {key} {list(shape)}" for key, shape in expected.items() if key not in state]
    for key, tensor in state.items():
        if key not in expected:
            problems.append(f"unexpected: {key} {list(tensor.shape)}")
        elif tuple(tensor.shape) != expected[key]:
            problems.append(f"wrong shape: {key} is {list(tensor.shape)}, expected {list(expected[key])}")
    if problems:
        raise WeightsError(
            f"the tensors don't fit the configuration ({len(problems)} findings); use files that belong together",
            tuple(problems),
        )
    model.load_state_dict({key: tensor.float() for key, tensor in state.items()}, assign=True)
    for module in model.modules():  # what a state doesn't hold: buffers that are computed from the sizes
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:
                setattr(module, name, torch.empty_like(buffer, device="cpu"))
        model._init_weights(module)
    model.eval()
    return model


def save_model(model: OpenSeeD, path: Path, *, half: bool = False) -> None:
    """Write a model: an official checkpoint for ``.pt``, one self-contained ``.safetensors``, else a folder.

    Args:
        half: float16 on disk, a factorised token table 8-bit floats (not for official checkpoints); all is float32
            again when loaded.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in CHECKPOINTS:
        partial = path.with_name(f".{path.name}.part")
        torch.save(export_official(model), partial)
        partial.replace(path)
        return
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in model.state_dict().items()}
    if half:
        state = {key: _halved(key, tensor, model.config) for key, tensor in state.items()}
    single = path.suffix == ".safetensors"
    file = path if single else path / TENSORS
    file.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"format": "pt"}
    if single:
        metadata[METADATA] = json.dumps(model.config.to_diff_dict(), sort_keys=True)
    else:
        model.config.save_pretrained(path)
    partial = file.with_name(f".{file.name}.part")
    partial.touch()
    mode = partial.stat().st_mode
    save_file(state, partial, metadata=metadata)
    partial.chmod(mode)  # safetensors leaves files that only their owner can read
    partial.replace(file)


def _halved(key: str, tensor: Tensor, config: OpenSeeDConfig) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    # the table is most of a small model's file, and was scaled for 8 bits when it was made
    table = config.text_token_dim is not None and key.endswith("token_embedding.weight")
    return tensor.to(torch.float8_e4m3fn) if table else tensor.half()


def version_of(model: OpenSeeD) -> str:
    """What to write beside a label as its origin: configuration and fingerprint of the weights, ``nano-0123456789ab``.

    A model that was not loaded from a file (just trained) gets the fingerprint of its tensors.
    """
    digits = model.fingerprint
    if not digits:
        digest = hashlib.sha256()
        for key, tensor in sorted(model.state_dict().items()):
            digest.update(key.encode() + tensor.detach().float().cpu().contiguous().numpy().tobytes())
        digits = digest.hexdigest()[:12]
    return f"{preset_of(model.config) or 'custom'}-{digits}"


def preset_of(config: OpenSeeDConfig) -> str | None:
    """The preset with the sizes of ``config``, or None."""
    sizes = _sizes(config)
    return next((name for name, preset in PRESETS.items() if _sizes(preset()) == sizes), None)


def _sizes(config: OpenSeeDConfig) -> dict[str, Any]:
    known = vars(OpenSeeDConfig())
    # how a model is trained or loaded is no difference of architecture, and nano with a neck is still nano
    ignored = {"neck", "drop_path", "train_points", "architectures", "dtype", "transformers_version"}
    return {key: getattr(config, key) for key in known if not key.startswith("_") and key not in ignored}


def _read(path: Path) -> tuple[OpenSeeDConfig, Mapping[str, Tensor]]:
    if path.suffix in CHECKPOINTS:
        try:
            imported = import_official(read_tensors(path))
        except WeightsError as error:
            raise _named(path, error) from None
        return imported.config, imported.state
    if path.suffix != ".safetensors":
        raise WeightsError(f"{path}: weights end in .pt, .pth or .safetensors; is this a weights file?")
    state = read_tensors(path)
    config = _config_beside(path)
    try:
        if config is None:
            imported = import_official(state)
            return imported.config, imported.state
    except WeightsError as error:
        raise _named(path, error) from None
    return config, state


def _config_beside(path: Path) -> OpenSeeDConfig | None:
    """The configuration inside a safetensors file or beside it; None when it can only hold official names."""
    try:
        with safe_open(path, framework="pt") as file:
            inside = (file.metadata() or {}).get(METADATA)
            official = any(key.split(".", 1)[0] in ("sem_seg_head", "model", "module") for key in file.keys())  # noqa: SIM118
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error}); fetch it again") from None
    if inside is None and official:
        return None
    place = path if inside is not None else path.with_name(SETTINGS)
    try:
        settings = json.loads(inside if inside is not None else place.read_text(encoding="utf-8"))
        if settings.get("model_type", "openseed") != "openseed":
            raise WeightsError(f"{place}: model_type is {settings['model_type']!r}; this tool runs 'openseed' models")
        config: OpenSeeDConfig = OpenSeeDConfig.from_dict(settings)
        return config
    except FileNotFoundError:
        raise WeightsError(f"{path}: its configuration {place} is missing; give the folder with both files") from None
    except WeightsError:
        raise
    except (ValueError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{place}: not a readable configuration ({error}); write it again with `models convert`"
        ) from (None)


def _named(path: Path, error: WeightsError) -> WeightsError:
    return WeightsError(f"{path}: {str(error).partition(chr(10) + '  ')[0]}", error.problems)
