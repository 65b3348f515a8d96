"""Tokens, prompts and text features against the golden arrays of the reference model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import recipe
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from openseed_core.config import nano, swin_t, swin_t_o365_decoupled
from openseed_core.heads import similarity
from openseed_core.prompts import (
    TEMPLATES,
    coco_training_name,
    evaluation_name,
    objects365_synonyms,
    training_prompt,
)
from openseed_core.text_encoder import TextEncoder
from openseed_core.tokenizer import END_ID, START_ID, tokenize

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = json.loads((Path(__file__).parents[1] / "data" / "class_names.json").read_text())
GOLDEN_NAMES = ["cat", "traffic light", "dining table", "sky-other-merged", "grass", "wall-brick"]
GOLDEN_TEXTS = ["a photo of a cat.", "traffic light.", "a photo of the brick wall."]
TOKENS = json.loads((GOLDEN / "tokens.json").read_text())


@pytest.mark.parametrize("row", TOKENS, ids=lambda row: row["text"][:20])
def test_token_ids_are_clips(row):
    assert tokenize([row["text"]], 18)[0].tolist() == row["padded18"]
    long = tokenize([row["text"]], 77)[0].tolist()
    assert long[: len(row["ids"])] == row["ids"]
    assert set(long[len(row["ids"]) :]) == {END_ID}


def test_a_name_that_spells_a_special_token_does_not_end_the_sequence():
    ids = tokenize(["cat <|endoftext|> dog"], 18)[0].tolist()
    assert ids.count(START_ID) == 1
    assert ids[ids.index(END_ID) :] == [END_ID] * (18 - ids.index(END_ID))
    assert tokenize(["dog"], 18)[0, 1].item() in ids


@given(st.text(max_size=80))
@settings(max_examples=50, deadline=None)
def test_any_text_gives_one_start_and_an_end(text):
    ids = tokenize([text], 18)[0].tolist()
    assert ids[0] == START_ID
    assert ids[-1] == END_ID
    assert all(0 <= i < START_ID for i in ids[1 : ids.index(END_ID)])


def test_names_are_cleaned_as_the_reference_does():
    assert len(set(TEMPLATES)) == 81
    assert evaluation_name("sky-other-merged") == "sky"
    assert evaluation_name("wall-brick") == "wall-brick"
    assert [coco_training_name(n) for n in NAMES["coco_panoptic_133"]] == NAMES["coco_panoptic_133_training_names"]
    for name, parts in zip(NAMES["objects365"], NAMES["objects365_training_synonyms"], strict=True):
        assert objects365_synonyms(name) == [part.strip() for part in parts]
    drawn = {training_prompt("a,b+c-other", np.random.default_rng(seed)) for seed in range(400)}
    assert {text.replace("ab c", "{}") for text in drawn} <= set(TEMPLATES)
    assert len(drawn) > 70


@pytest.fixture(scope="module", params=["swint_lang", "swint_lang_o365_decouple"])  # context 18, 77
def golden(request):
    config = {"swint_lang": swin_t, "swint_lang_o365_decouple": swin_t_o365_decoupled}[request.param]()
    with torch.device("meta"):
        encoder = TextEncoder(config)
    encoder = encoder.to_empty(device="cpu").eval()
    recipe.fill(encoder, recipe.TEXT_ENCODER)
    return encoder, np.load(GOLDEN / f"{request.param}_text.npz")


@torch.inference_mode()
def test_hidden_states_and_embeddings_match_the_reference(golden):
    encoder, arrays = golden
    ids = tokenize(GOLDEN_TEXTS, encoder.context)
    np.testing.assert_array_equal(ids.numpy(), arrays["text_single_ids"])
    hidden, expected = encoder.hidden(ids)[:, :8, ::8].numpy(), arrays["text_single_hidden"]
    np.testing.assert_allclose(hidden, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    for full_length in (False, True):
        got = encoder(ids, full_length=full_length).numpy()
        np.testing.assert_allclose(got, arrays["text_single_emb"], rtol=1e-3, atol=1e-5)


@torch.inference_mode()
def test_template_averages_match_the_reference(golden):
    encoder, arrays = golden
    got = encoder.encode_names([[name] for name in GOLDEN_NAMES]).numpy()
    np.testing.assert_allclose(got, arrays["text_eval"], rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return TextEncoder(nano(text_layers=2)).eval()


@torch.inference_mode()
def test_dropping_the_padding_is_exact(small):
    ids = tokenize(["cat", "a photo of the old traffic light."], small.context)
    torch.testing.assert_close(small(ids), small(ids, full_length=True), rtol=0, atol=1e-6)


@torch.inference_mode()
def test_a_class_does_not_depend_on_its_neighbours(small):
    together = small.encode_names([["cat"], ["a very long name of a traffic light"], ["sofa", "couch"]])
    for row, entry in enumerate([["cat"], ["a very long name of a traffic light"], ["sofa", "couch"]]):
        assert torch.equal(together[row], small.encode_names([entry])[0])


@torch.inference_mode()
def test_synonyms_are_averaged_and_renormalised(small):
    sofa, couch = small.encode_names([["sofa"], ["couch"]])
    both = small.encode_names([["sofa", "couch"]])[0]
    torch.testing.assert_close(both, torch.nn.functional.normalize(sofa + couch, dim=0))
    assert small.encode_names([]).shape == (0, 256)
    with pytest.raises(ValueError, match=r"prompts\[1\]"):
        small.encode_names([["cat"], []])
    with pytest.raises(ValueError, match=r"prompts\[0\]"):
        small.encode_names(["cat"])


def test_texts_keep_their_order_and_pass_gradients(small):
    texts = ["a rather long text about a cat on a mat", "cat", "two dogs", ""]
    batch = small.encode_texts(texts, batch_size=2)
    for row, text in enumerate(texts):
        torch.testing.assert_close(batch[row], small.encode_texts([text])[0], rtol=0, atol=1e-6)
    batch[0, 0].backward()
    assert small.lang_encoder.token_embedding.weight.grad.abs().sum() > 0
    small.zero_grad()


def test_similarity_divides_by_the_length_plus_eps(small):
    text = torch.nn.functional.normalize(torch.randn(3, 256), dim=-1)
    vectors = torch.randn(5, 256)
    with torch.no_grad():
        small.logit_scale.fill_(4.0)
    expected = np.exp(4.0) * (vectors / (vectors.norm(dim=-1, keepdim=True) + 1e-7)) @ text.T
    torch.testing.assert_close(similarity(vectors, text, small.logit_scale), expected)
    assert torch.isfinite(similarity(torch.zeros(1, 256), text, small.logit_scale)).all()
