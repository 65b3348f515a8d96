"""Distillation teaches what it is shown, and the shipped text encoder keeps its promises."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open

from openseed_core.config import nano
from openseed_core.prompts import BARE_NAME
from openseed_core.text_encoder import TextEncoder
from openseed_core.tokenizer import VOCABULARY_SIZE, token_texts, tokenize
from openseed_core.training.text_distillation import DistillationSettings, distil, initialise_tokens
from openseed_core.training.text_targets import (
    ProjectionSettings,
    Relations,
    fit_projection,
    principal_projection,
    retrofit,
)

DATA = Path(__file__).parents[1] / "data"
SHIPPED = files("openseed_core").joinpath("weights/nano/model.safetensors")


def tiny(**sizes):
    small = {"text_layers": 1, "text_width": 32, "text_heads": 2, "text_token_dim": 16, "joint_dim": 8}
    return TextEncoder(nano(**{**small, **sizes}))


def test_token_texts_are_what_the_ids_spell():
    texts = token_texts()
    assert len(texts) == VOCABULARY_SIZE
    for word in ("cat", "wheelchair", "é"):
        assert "".join(texts[i] for i in tokenize([word], 18)[0] if texts[i]) == word
    assert texts[-2:] == ["", ""]


def test_the_table_starts_as_the_principal_components():
    torch.manual_seed(0)
    vectors = torch.randn(VOCABULARY_SIZE, 4) @ torch.randn(4, 24)  # four directions: sixteen columns hold all of them
    vectors[:100] = 0
    encoder = tiny()
    initialise_tokens(encoder, vectors)
    table = encoder.lang_encoder.token_embedding.weight.detach()
    rows = torch.arange(200, 300)
    distance = torch.linalg.vector_norm(vectors[rows, None] - vectors[rows], dim=-1)
    kept = torch.linalg.vector_norm(table[rows, None] - table[rows], dim=-1)
    torch.testing.assert_close(kept / kept.max(), distance / distance.max(), rtol=1e-3, atol=1e-4)
    assert not table[:100].any()
    with pytest.raises(ValueError, match="text_token_dim"):
        initialise_tokens(tiny(text_token_dim=None), vectors)
    with pytest.raises(ValueError, match="columns"):
        initialise_tokens(encoder, vectors[:, :8])


def test_the_student_learns_its_targets_and_looks_through_templates():
    torch.manual_seed(0)
    texts = ["cat", "dog", "traffic light", "dining table", "sky", "red car"]
    targets = F.normalize(torch.randn(6, 8), dim=1)
    encoder = tiny()
    initialise_tokens(encoder, torch.randn(VOCABULARY_SIZE, 16))
    before = (encoder.encode_texts(texts) * targets).sum(dim=1).mean()
    losses = []
    settings = DistillationSettings(steps=60, batch_size=12, learning_rate=5e-3)
    distil(encoder, texts, targets, settings=settings, progress=lambda step, loss: losses.append(loss))
    assert len(losses) == 60
    with torch.inference_mode():
        bare = (encoder.encode_texts(texts) * targets).sum(dim=1)
        held = (encoder.encode_texts([f"a photo of the {text}." for text in texts]) * targets).sum(dim=1)
    assert before < 0.5
    assert bare.min() > 0.9
    assert held.mean() > 0.8


def test_retrofitting_moves_only_texts_with_relatives():
    vectors = F.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), dim=1)
    edges = Relations(torch.tensor([0]), torch.tensor([1]), torch.tensor([1.0]))
    moved = retrofit(vectors, edges, strength=1.0, rounds=1)
    torch.testing.assert_close(moved[0], vectors[2])
    torch.testing.assert_close(moved[1:], vectors[1:])


def test_the_projection_brings_relatives_together():
    torch.manual_seed(0)
    embeddings = F.normalize(torch.randn(200, 16), dim=1)
    pairs = torch.arange(200).view(100, 2)
    edges = Relations(pairs[:, 0], pairs[:, 1], torch.ones(100))
    start = principal_projection(embeddings, 8)
    fitted = fit_projection(
        embeddings,
        edges,
        start=start,
        examples=pairs[:20, 0],
        labels=torch.arange(20),
        classes=embeddings[pairs[:20, 1]],
        settings=ProjectionSettings(steps=80, batch_size=64, fidelity=0.1, learning_rate=1e-2),
    )
    closeness = [(p(embeddings[pairs[:, 0]]) * p(embeddings[pairs[:, 1]])).sum(dim=1).mean() for p in (start, fitted)]
    assert closeness[1] > closeness[0] + 0.2


@pytest.fixture(scope="module")
def shipped():
    if not SHIPPED.is_file():
        pytest.skip("the embedded weights are not in this checkout")
    encoder = TextEncoder(nano()).eval()
    with safe_open(str(SHIPPED), framework="pt") as file:
        keys = {key: key.split("text_encoder.", 1)[-1] for key in file.keys()}  # noqa: SIM118  (not a dict)
        wanted = encoder.state_dict().keys()
        state = {name: file.get_tensor(key).float() for key, name in keys.items() if name in wanted}
    encoder.load_state_dict(state)
    return encoder


def synonyms_found(encoder) -> float:
    """Share of the fixed (query, name) pairs whose query is nearest to its name among the 365 Objects365 names."""
    data = json.loads((DATA / "synonyms.json").read_text())
    names = json.loads((DATA / "class_names.json").read_text())["objects365"]
    classes = encoder.encode_names([[name] for name in names], templates=BARE_NAME)
    queries = encoder.encode_names([[query] for query, _ in data["pairs"]], templates=BARE_NAME)
    nearest = [names[k] for k in (queries @ classes.T).argmax(dim=1)]
    right = sum(name == wanted for name, (_, wanted) in zip(nearest, data["pairs"], strict=True))
    return right / len(data["pairs"])


@torch.inference_mode()
def test_shipped_names_lie_near_their_synonyms(shipped):
    assert synonyms_found(shipped) >= 0.65


@pytest.mark.xfail(reason="the bar is 75 %, the shipped encoder has 68 % (docs/model-card.md)", strict=True)
@torch.inference_mode()
def test_shipped_names_reach_the_bar_for_synonyms(shipped):
    assert synonyms_found(shipped) >= 0.75


@torch.inference_mode()
def test_shipped_nonsense_does_not_collapse(shipped):
    data = json.loads((DATA / "synonyms.json").read_text())
    noise = shipped.encode_names([[text] for text in data["nonsense"]], templates=BARE_NAME)
    assert (noise @ noise.T).fill_diagonal_(-1).max() < 0.9
