"""Names in templates: computed once in front of the name, the result is that of whole sequences."""

from __future__ import annotations

import pytest
import torch

from openseed_core.config import nano
from openseed_core.prompts import TEMPLATES, evaluation_prompts
from openseed_core.shared_prefixes import Prefixes, end_states
from openseed_core.text_encoder import TextEncoder
from openseed_core.tokenizer import tokenize

NAMES = [
    "cat",
    "traffic light",
    "sky-other-merged",
    "wall-brick",
    "a",
    "Äpfel, 3 € & <|endoftext|>",
    "",
    " ",
    "word " * 30,
]


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    made = TextEncoder(nano(text_layers=3, text_templates=True)).eval()
    with torch.no_grad():
        for parameter in made.lang_encoder.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


@pytest.fixture(autouse=True)
def no_disk(monkeypatch):
    monkeypatch.setenv("OPENSEED_LABEL_TEXT_CACHE", "off")


@torch.inference_mode()
@pytest.mark.parametrize("name", NAMES)
def test_equal_to_whole_sequences(encoder, name):
    found = encoder.encode_names([[name]])
    torch.testing.assert_close(found, encoder.encode_names([[name]], full_length=True), rtol=0, atol=1e-5)
    [expected] = encoder.encode_names([["unrelated"]])
    assert (found[0] - expected).abs().max() > 1e-3


@torch.inference_mode()
def test_end_states_of_each_template(encoder):
    ids = tokenize(evaluation_prompts("traffic light", TEMPLATES), encoder.context)
    prefixes = Prefixes.of(encoder.lang_encoder, TEMPLATES, encoder.context)
    assert prefixes.fit(ids)
    found = end_states(encoder.lang_encoder, ids, prefixes)
    expected = encoder.hidden(ids)[torch.arange(len(ids)), ids.argmax(1)]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_a_name_that_merges_with_the_words_before_it_is_noticed(encoder):
    templates = ("anti{}.", "a {}.")  # "antique" has another first token than "anti"
    prefixes = Prefixes.of(encoder.lang_encoder, templates, encoder.context)
    assert not prefixes.fit(tokenize(evaluation_prompts("que", templates), encoder.context))
    found = encoder.encode_names([["que"]], templates=templates)
    expected = encoder.encode_names([["que"]], templates=templates, full_length=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@torch.inference_mode()
def test_new_weights_are_noticed(encoder):
    before = encoder.encode_names([["cat"]])
    table = encoder.lang_encoder.token_embedding.weight
    kept = table.detach().clone()
    with torch.inference_mode(False), torch.no_grad():
        table.add_(torch.randn_like(table))
    changed = encoder.encode_names([["cat"]])
    torch.testing.assert_close(changed, encoder.encode_names([["cat"]], full_length=True), rtol=0, atol=1e-5)
    assert (changed - before).abs().max() > 1e-3
    with torch.inference_mode(False), torch.no_grad():
        table.copy_(kept)
    assert torch.equal(encoder.encode_names([["cat"]]), before)


def test_with_gradients_nothing_is_shared(encoder):
    encoder.encode_names([["cat"], ["dog"]])[0, 0].backward()
    assert encoder.lang_encoder.token_embedding.weight.grad.abs().sum() > 0
    encoder.zero_grad()
