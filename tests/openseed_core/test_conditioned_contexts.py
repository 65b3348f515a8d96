"""What boxes see of each other in each context, on a small model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import small_model

from openseed_core import model as model_module
from openseed_core.conditioning import Context, attention_mask, condition_queries

COUNT = 6
IMAGE = np.random.default_rng(0).integers(0, 256, (90, 64, 3), dtype=np.uint8)
X, Y = np.random.default_rng(1).uniform(0, (50, 70), (COUNT, 2)).T
BOXES = torch.from_numpy(np.stack((X, Y, X + 13, Y + 18), axis=1).astype(np.float32))[None]
LABELS = torch.arange(COUNT)[None] % 3
TOLERANCE = {"rtol": 1e-3, "atol": 2e-4}


@pytest.fixture(scope="module")
def model():
    return small_model(background_queries=5)


@pytest.fixture(scope="module")
def image(model):
    with torch.inference_mode():
        return model.encode_image([IMAGE])


@pytest.fixture(scope="module")
def text(model):
    with torch.inference_mode():
        return model.encode_text([["cat"], ["dog"], ["traffic light"]])


def answer(model, image, text, context, *, rows=slice(None), groups=None):
    with torch.inference_mode():
        return model.masks_for_boxes(image, BOXES[:, rows], text, LABELS[:, rows], context=context, groups=groups)


def same(a, b):
    for field in ("masks", "boxes", "logits"):
        torch.testing.assert_close(getattr(a, field), getattr(b, field), **TOLERANCE)


def rows_of(found, rows):
    return type(found)(found.masks[:, rows], found.boxes[:, rows], found.logits[:, rows])


def test_solo_equals_a_block_diagonal_mask_and_one_at_a_time(model, image, text):
    solo = answer(model, image, text, Context.SOLO)
    with torch.inference_mode():
        content, reference = condition_queries(model.heads, text, LABELS, model.normalise_boxes(image, BOXES))
        blocked = ~torch.eye(COUNT, dtype=torch.bool)
        decoded = model.decoder(content, reference, image.memory, model.heads, blocked=blocked)
        same(model._answers(image, decoded, text, COUNT), solo)
    for k in range(COUNT):
        rows = slice(k, k + 1)
        same(answer(model, image, text, Context.SOLO, rows=rows), rows_of(solo, rows))
        same(answer(model, image, text, Context.ISOLATED, rows=rows), rows_of(solo, rows))


def test_solo_is_the_same_in_chunks(model, image, text, monkeypatch):
    whole = answer(model, image, text, Context.SOLO)
    monkeypatch.setattr(model_module, "CHUNK", 4)
    same(answer(model, image, text, Context.SOLO), whole)


def test_isolated_boxes_see_each_other(model, image, text):
    together = answer(model, image, text, Context.ISOLATED)
    alone = answer(model, image, text, Context.ISOLATED, rows=slice(0, 1))
    assert (together.masks[:, :1] - alone.masks).abs().max() > 1e-3


def test_one_group_is_joint_and_groups_do_not_see_each_other(model, image, text):
    joint = answer(model, image, text, Context.JOINT)
    same(answer(model, image, text, Context.JOINT_GROUPED, groups=torch.zeros(COUNT, dtype=torch.long)), joint)
    groups = torch.tensor([0, 1, 1, 2, 0, 1])
    grouped = answer(model, image, text, Context.JOINT_GROUPED, groups=groups)
    assert (grouped.masks - joint.masks).abs().max() > 1e-3
    for group in range(3):
        rows = (groups == group).nonzero()[:, 0]
        same(answer(model, image, text, Context.JOINT, rows=rows), rows_of(grouped, rows))


def test_joint_sees_the_vocabulary_and_solo_does_not(model, image, text):
    other = torch.cat((text, torch.nn.functional.normalize(torch.randn(1, text.shape[1]), dim=-1)))
    solo, wider = answer(model, image, text, Context.SOLO), answer(model, image, other, Context.SOLO)
    torch.testing.assert_close(solo.masks, wider.masks, **TOLERANCE)
    assert (wider.logits[..., :3] - solo.logits).abs().max() < 1e-4
    assert torch.isfinite(answer(model, image, other, Context.JOINT).masks).all()


@given(st.lists(st.integers(0, 3), min_size=0, max_size=6), st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_the_mask_by_its_definition(groups, matching):
    blocked = attention_mask(torch.tensor(groups, dtype=torch.long), matching)
    n = len(groups)
    assert blocked.shape == (n + matching, n + matching)
    for i in range(n + matching):
        for j in range(n + matching):
            if i < n:
                assert bool(blocked[i, j]) == (j < n and groups[i] != groups[j])
            else:
                assert bool(blocked[i, j]) == (j < n)


def test_no_boxes_and_boxes_beyond_the_photo(model, image, text):
    none = answer(model, image, text, Context.SOLO, rows=slice(0, 0))
    assert none.masks.shape[:2] == (1, 0)
    beyond = torch.tensor([[[-50.0, 30.0, 40.0, 500.0]]])
    inside = torch.tensor([[[0.0, 30.0, 40.0, 90.0]]])
    assert torch.equal(model.normalise_boxes(image, beyond), model.normalise_boxes(image, inside))


def test_images_of_a_batch_are_told_apart(model, text):
    other = IMAGE[::-1].copy()
    with torch.inference_mode():
        both = model.encode_image([IMAGE, other])
        boxes, labels = BOXES.expand(2, -1, -1), LABELS.expand(2, -1)
        found = model.masks_for_boxes(both, boxes, text, labels)
        detected = model.detect(both, text).final
        for i, pixels in enumerate((IMAGE, other)):
            alone = model.encode_image([pixels])
            same(
                model.masks_for_boxes(alone, BOXES, text, LABELS),
                type(found)(*(getattr(found, field)[i : i + 1] for field in ("masks", "boxes", "logits"))),
            )
            torch.testing.assert_close(model.detect(alone, text).final.boxes, detected.boxes[i : i + 1], **TOLERANCE)
            assert torch.equal(both.image(i).memory.tokens, both.memory.tokens[i : i + 1])


def test_an_image_with_fewer_tokens_than_queries(model, text):
    with torch.inference_mode():
        found = model.detect(model.encode_image([IMAGE[:64]]), text)
    tokens = found.selection.token_scores.shape[1]
    assert tokens < model.config.object_queries
    assert found.final.logits.shape[1] == tokens + model.config.background_queries
    assert torch.isfinite(found.final.boxes).all()
