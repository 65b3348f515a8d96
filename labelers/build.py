"""Labelers by name. Importing this module imports none of them, so ``--help`` stays fast."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from labelers.uncollected import uncollected

if TYPE_CHECKING:
    from labelers.protocol import Labeler

LabelerName = Literal["conditioned", "grabcut", "rectangle"]
LABELERS: tuple[LabelerName, ...] = get_args(LabelerName)
"""The names that ``build_labeler`` knows; the first is the default of every command."""

RuntimeName = Literal["torch", "openvino", "openvino-int8"]
RUNTIMES: tuple[RuntimeName, ...] = get_args(RuntimeName)
"""Who computes the model, see docs/runtimes.md; the first is the default."""


class UnknownDevice(ValueError):
    """The model can't run there on this machine; the message says why."""


class UnknownLabeler(ValueError):
    """There is no labeler of this name; the message lists those there are."""


@uncollected()
def build_labeler(
    name: str = LABELERS[0],
    *,
    model: str = "nano",
    weights: Path | None = None,
    device: str = "auto",
    context: str = "solo",
    zoom: bool = True,
    batch_size: int | None = None,
    mirror: bool | None = None,
    runtime: str = RUNTIMES[0],
    calibration: Path | None = None,
) -> Labeler:
    """Build a labeler. All options but ``name`` concern the model and are ignored by the others.

    Args:
        name: one of ``LABELERS``.
        model: configuration of the model.
        weights: a file to use instead of the model's own weights.
        device: "auto", "cpu", "cuda", "cuda:1" ...
        context: what the boxes of a photo see of each other (see ``labelers.conditioned``).
        zoom: decode small boxes from an enlarged crop.
        batch_size: boxes decoded in one pass, None for the labeler's own choice.
        mirror: average masks with those of the mirror image, None for the model's own choice.
        runtime: one of ``RUNTIMES``.
        calibration: folder of photos that openvino-int8 takes its ranges from.

    Raises ``UnknownLabeler``, ``UnknownDevice``, ``RuntimeUnavailable``, and whatever loading the model raises.
    """
    if name == "rectangle":
        from labelers.rectangle import RectangleLabeler

        return RectangleLabeler()
    if name == "grabcut":
        from labelers.grabcut import GrabCutLabeler

        return GrabCutLabeler()
    if name == "conditioned":
        _check_device(device)
        from labelers.conditioned import ConditionedLabeler

        return ConditionedLabeler.from_model(
            model_name=model,
            weights=weights,
            device=device,
            context=context,
            zoom=zoom,
            chunk=batch_size,
            mirror=mirror,
            runtime=runtime,
            calibration=calibration,
        )
    raise UnknownLabeler(f"there is no labeler {name!r}; choose one of {', '.join(LABELERS)}")


def identity(
    name: str = LABELERS[0],
    *,
    model: str = "nano",
    weights: Path | None = None,
    mirror: bool | None = None,
    runtime: str = RUNTIMES[0],
) -> str:
    """What a labeler would be, before it is built and without loading torch: ``nano-0123456789ab``.

    Another text for other weights or options. "unknown" in place of the digits where the weights can't be found;
    building the labeler says why.
    """
    if name != "conditioned":
        return name
    from openseed_core.weights.files import fingerprint, weights_file

    try:
        path = weights_file(weights or model)
    except ValueError:
        path = None
    digits = fingerprint(path) if path is not None else "unknown"
    computed = "" if runtime == RUNTIMES[0] else f"-{runtime}"
    return f"{weights.stem if weights is not None else model}-{digits}{computed}{'-mirror' if mirror else ''}"


def _check_device(device: str) -> None:
    """Before the model is read, which takes longer. Raises ``UnknownDevice``."""
    import torch

    if device == "auto":
        return
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the kind depends on how torch was built
        said = str(error).strip().partition("\n")[0]
        raise UnknownDevice(f"--device {device!r} can't be used here ({said}); use auto, cpu or cuda") from error
