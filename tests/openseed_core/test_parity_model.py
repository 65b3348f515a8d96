"""Every golden array of the reference model: features, selection, each layer, results, conditioned contexts."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import reference
import torch
from reference import FOREGROUND, NAMES, THINGS

from openseed_core.conditioning import Context
from openseed_core.postprocess import boxes_only, instances, panoptic, semantic
from openseed_core.preprocess import prepare

CASES = [
    pytest.param((name, letter), id=f"{name}-{letter}", marks=[pytest.mark.slow] if name.startswith("swinl") else [])
    for name in reference.CONFIGS
    for letter in "ab"
]


@pytest.fixture(scope="module")
def models():
    """Builds each model once and keeps one at a time: Swin-L needs over a gigabyte."""
    kept: dict[str, torch.nn.Module] = {}

    def get(name):
        if name not in kept:
            kept.clear()
            gc.collect()
            kept[name] = reference.build(name)
        return kept[name]

    return get


@pytest.fixture(scope="module", params=CASES)
def case(request, models):
    name, letter = request.param
    return reference.run(models(name), name, letter)


def close(got, expected, *, rtol=1e-3, atol=1e-4):
    """``atol`` is relative to the largest expected magnitude."""
    limit = max(np.abs(expected[np.isfinite(expected)]).max(initial=0), 1e-6)
    np.testing.assert_allclose(got.numpy() if torch.is_tensor(got) else got, expected, rtol=rtol, atol=atol * limit)


def close_map(got, arrays, key, step):
    """A [C, H, W] map by its strided slice and its statistics."""
    close(got[::step], arrays[f"{key}_s"])
    mean, std, most = arrays[f"{key}_stat"]
    np.testing.assert_allclose(got.mean(), mean, atol=1e-4 * most)
    np.testing.assert_allclose(got.std(), std, rtol=1e-3)
    np.testing.assert_allclose(got.abs().max(), most, rtol=1e-3)


def close_masks(got, expected):
    np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=5e-3 * expected.std())


def test_preprocessing(case):
    image = np.ascontiguousarray(case.arrays["image_uint8"].transpose(1, 2, 0))
    pixels = prepare([image], mean=case.model.config.mean, std=case.model.config.std).pixels[0]
    close(pixels[:, ::16, ::16], case.arrays["pre_s"], rtol=1e-6, atol=1e-6)
    mean, std, least, most = case.arrays["pre_mean_std_min_max"]
    found = [float(x) for x in (pixels.mean(), pixels.std(), pixels.min(), pixels.max())]
    np.testing.assert_allclose(found, [mean, std, least, most], rtol=1e-5, atol=1e-5)


def test_backbone(case):
    larger = 2 if case.name.startswith("swinl") else 1
    for key, step in {"res2": 8, "res3": 16, "res4": 16, "res5": 32}.items():
        assert list(case.backbone[key].shape) == case.arrays[f"backbone_{key}_shape"].tolist()
        close_map(case.backbone[key][0], case.arrays, f"backbone_{key}", step * larger)


def test_pixel_decoder(case):
    assert len(case.image.multi_scale) == case.model.config.levels
    for i, level in enumerate(case.image.multi_scale):
        assert list(level.shape) == case.arrays[f"ms{i}_shape"].tolist()
        close_map(level[0], case.arrays, f"ms{i}", 16)
    close_map(case.image.memory.mask_features[0], case.arrays, "mask_features", 16)


def test_selection(case):
    scores, expected = case.detection.selection.token_scores[0].numpy(), case.arrays["enc_class_score_max"]
    np.testing.assert_array_equal(np.isneginf(scores), np.isneginf(expected))
    valid = np.isfinite(expected)
    close(scores[valid], expected[valid])
    index = case.detection.selection.index[0].tolist()
    assert len(index) == len(set(index)) == FOREGROUND
    assert set(index) == set(case.arrays["topk_idx"].tolist())


def test_decoder_states(case):
    decoded, order = case.detection.decoded, case.order
    references = torch.stack([r[0, order] for r in decoded.references])
    np.testing.assert_allclose(references.numpy(), case.arrays["dec_refs"], rtol=0, atol=1e-4)
    for i, hidden in enumerate(decoded.hidden):
        np.testing.assert_allclose(hidden[0, order][::10, ::16].numpy(), case.arrays[f"dec_hs{i}_s"], rtol=0, atol=2e-3)
    np.testing.assert_allclose(decoded.hidden[-1][0, order][:, ::4].numpy(), case.arrays["dec_hs_last"], atol=2e-3)


def test_predictions_of_every_layer(case):
    sets = {"interm": case.detection.interm, "pred": case.detection.final}
    for key, found in sets.items():
        np.testing.assert_allclose(
            found.logits[0, case.order].numpy(), case.arrays[f"{key}_logits"], rtol=1e-3, atol=2e-3
        )
        np.testing.assert_allclose(found.boxes[0, case.order].numpy(), case.arrays[f"{key}_boxes"], rtol=0, atol=1e-4)
    assert len(case.detection.aux) == len(case.arrays["aux_logits"]) == 9
    for i, found in enumerate(case.detection.aux):
        np.testing.assert_allclose(
            found.logits[0, case.order].numpy(), case.arrays["aux_logits"][i], rtol=1e-3, atol=2e-3
        )
        np.testing.assert_allclose(found.boxes[0, case.order].numpy(), case.arrays["aux_boxes"][i], rtol=0, atol=1e-4)
    close_masks(case.detection.interm.masks[0, case.order][::50], case.arrays["interm_masks_s"])
    step = 16 if case.model.config.decoupled else 12
    close_masks(case.detection.final.masks[0, case.order][::step], case.arrays["pred_masks_s"])


def test_semantic_and_panoptic(case):
    logits, masks = case.detection.final.logits[0, case.order], case.detection.final.masks[0, case.order]
    found = semantic(logits, masks, case.frame)
    close(found.scores[:, ::3, ::3], case.arrays["sem_seg_s"], rtol=2e-3, atol=1e-3)
    assert np.mean(found.labels.numpy() == case.arrays["sem_seg_argmax"]) > 0.9995
    for key in ("panoptic", "panoptic_thr15", "panoptic_thr40"):
        score, overlap = case.arrays.get(f"{key}_params", (0.25, 0.8))
        found = panoptic(
            logits, masks, case.frame, things=THINGS, score_threshold=float(score), overlap_threshold=float(overlap)
        )
        rows = [[s.id, int(s.is_thing), s.category] for s in found.segments]
        assert rows == case.arrays[f"{key}_info"].tolist()
        assert np.mean(found.ids.numpy() == case.arrays[f"{key}_ids"]) > 0.9995


def pairs_of(found, arrays, prefix):
    """For each golden instance the row of ours with its class and box; every one of ours is used once."""
    boxes = torch.from_numpy(arrays[f"{prefix}_boxes"])
    far = torch.cdist(boxes.double(), found.boxes.double(), p=float("inf"))
    far[torch.from_numpy(arrays[f"{prefix}_classes"])[:, None] != found.classes[None]] = torch.inf
    rows = far.argmin(dim=1)
    assert far.min(dim=1).values.max() < 0.1, "a golden instance has no counterpart"
    assert sorted(rows.tolist()) == list(range(len(found.classes)))
    return rows


def test_instances(case):
    final = case.detection.final.rows(0, FOREGROUND)
    top = case.model.config.top_instances
    found = instances(final.logits[0], final.boxes[0], final.masks[0], case.frame, top=top, things=THINGS)
    rows = pairs_of(found, case.arrays, "inst")
    np.testing.assert_allclose(found.scores[rows].numpy(), case.arrays["inst_scores"], rtol=2e-3)
    masks = found.masks[rows]
    areas = masks.sum(dim=(1, 2)).numpy()
    np.testing.assert_allclose(areas, case.arrays["inst_mask_area"], rtol=2e-3, atol=3)
    packed = np.unpackbits(case.arrays["inst_masks20_packed"], axis=1)[:, : masks[0].numel()].astype(bool)
    assert np.mean(masks[: len(packed)].flatten(1).numpy() == packed) > 0.9995


def test_boxes_only(case):
    final = case.detection.final.rows(0, FOREGROUND)
    found = boxes_only(final.logits[0], final.boxes[0], case.frame, top=case.model.config.top_instances)
    rows = pairs_of(found, case.arrays, "det")
    np.testing.assert_allclose(found.scores[rows].numpy(), case.arrays["det_scores"], rtol=2e-3)


@torch.inference_mode()
def test_conditioned_contexts(case):
    for key, context in {"condjoint": Context.JOINT, "condiso": Context.ISOLATED}.items():
        found = case.conditioned(context)
        np.testing.assert_allclose(found.logits[0].numpy(), case.arrays[f"{key}_logits"], rtol=1e-3, atol=2e-3)
        np.testing.assert_allclose(found.boxes[0].numpy(), case.arrays[f"{key}_boxes"], rtol=0, atol=1e-4)
        close_masks(found.masks[0], case.arrays[f"{key}_masks"])
    found = case.conditioned(Context.SOLO)
    close_masks(found.masks[0, :, ::2, ::2], case.arrays["condsolo_masks_s"])


@torch.inference_mode()
def test_solo_is_one_at_a_time_and_a_diagonal_mask(case):
    together = case.conditioned(Context.SOLO)
    for k in range(4):
        for context in (Context.SOLO, Context.ISOLATED):
            alone = case.conditioned(context, slice(k, k + 1))
            torch.testing.assert_close(alone.masks[:, 0], together.masks[:, k], rtol=1e-3, atol=2e-3)
            torch.testing.assert_close(alone.boxes[:, 0], together.boxes[:, k], rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(reference.CONFIGS))
@torch.inference_mode()
def test_names_to_predictions_with_the_whole_text_encoder(name):
    model = reference.build(name, text=True)
    case = reference.run(model, name, "a")
    text = model.encode_text([[n] for n in NAMES])
    close(text, case.text.numpy(), atol=1e-4)
    found = model.detect(case.image, text).final
    order = [int(i) for i in case.order]
    np.testing.assert_allclose(found.boxes[0, order].numpy(), case.arrays["pred_boxes"], rtol=0, atol=1e-3)
