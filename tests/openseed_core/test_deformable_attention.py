"""Both ways of sampling against the definition, and the layers that use the fast one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import small_model

from openseed_core.conditioning import Context
from openseed_core.deformable_attention import DeformableAttention, PaddedMaps
from openseed_core.preprocess import NetworkInput

HEADS, POINTS, DIM = 2, 3, 8


def attention(levels: int) -> DeformableAttention:
    module = DeformableAttention(DIM, heads=HEADS, levels=levels, points=POINTS)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return module


def by_definition(module: DeformableAttention, query, reference, values, shapes):
    """One head, level, point and corner after another."""
    batch, queries, _ = query.shape
    value = module.value_proj(values).view(batch, -1, HEADS, DIM // HEADS)
    offsets, weights = module._asked(query)
    places = module._locations(reference, offsets, shapes)
    out = torch.zeros(batch, queries, HEADS, DIM // HEADS)
    for b, q, h, level, p in torch.cartesian_prod(*map(torch.arange, (batch, queries, HEADS, len(shapes), POINTS))):
        rows, columns = shapes[level]
        start = sum(r * c for r, c in shapes[:level])
        x, y = places[b, q, h, level, p] * torch.tensor([columns, rows]) - 0.5
        for row in (int(y.floor()), int(y.floor()) + 1):
            for column in (int(x.floor()), int(x.floor()) + 1):
                if 0 <= row < rows and 0 <= column < columns:
                    share = (1 - (x - column).abs()) * (1 - (y - row).abs()) * weights[b, q, h, level, p]
                    out[b, q, h] += share * value[b, start + row * columns + column, h]
    return module.output_proj(out.flatten(2))


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=3),
    st.integers(1, 2),
    st.sampled_from([2, 4]),
    st.integers(0, 999),
)
@settings(max_examples=15, deadline=None)
def test_every_way_is_the_definition(shapes, batch, kind, seed):
    torch.manual_seed(seed)
    module = attention(len(shapes))
    query, values = torch.randn(batch, 3, DIM), torch.randn(batch, sum(h * w for h, w in shapes), DIM)
    reference = torch.rand(batch, 3, kind) * 3 - 1  # many places are outside of the maps
    with torch.no_grad():
        expected = by_definition(module, query, reference, values, shapes)
        ways = (
            module(query, reference, values, shapes),
            module.gather(query, reference, module.project(values, shapes)),
            module.gather_few(query, reference, PaddedMaps.of(values, shapes)),
        )
    for found in ways:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("few", [False, True])
def test_a_query_does_not_depend_on_its_neighbours(few):
    torch.manual_seed(0)
    module, shapes = attention(2), [(6, 7), (3, 4)]
    query, reference, values = torch.randn(1, 16, DIM), torch.rand(1, 16, 4), torch.randn(1, 54, DIM)
    ask = module.gather_few if few else module.gather
    maps = PaddedMaps.of(values, shapes) if few else module.project(values, shapes)
    before = ask(query, reference, maps)
    query[:, 8:] += 1
    reference[:, 8:] *= 0.5
    assert torch.equal(ask(query, reference, maps)[:, :8], before[:, :8])
    assert not torch.equal(ask(query, reference, maps)[:, 8:], before[:, 8:])


@torch.no_grad()
@pytest.mark.parametrize("worst", [torch.nan, torch.inf, -torch.inf, 3e38, -3e38])
def test_places_that_are_no_places_read_no_foreign_memory(worst):
    torch.manual_seed(0)
    module, shapes = attention(2), [(4, 5), (1, 1)]
    module.output_proj.weight.copy_(torch.eye(DIM))
    query, values = torch.randn(1, 2, DIM), torch.randn(1, 21, DIM)
    reference = torch.tensor([[[worst, 0.5], [0.5, 0.5]]])
    for found in (
        module.gather(query, reference, module.project(values, shapes)),
        module.gather_few(query, reference, PaddedMaps.of(values, shapes)),
    ):
        assert found[0, 0].isnan().all() or torch.allclose(found[0, 0], module.output_proj.bias)  # nothing was sampled
        assert found[0, 1].isfinite().all()


def test_gradients_flow_as_before():
    torch.manual_seed(0)
    module, shapes = attention(2), [(4, 5), (2, 3)]
    query, values = torch.randn(1, 4, DIM, requires_grad=True), torch.randn(1, 26, DIM, requires_grad=True)
    module(query, torch.rand(1, 4, 2), values, shapes).square().sum().backward()
    for tensor in (query, values, *module.parameters()):
        assert tensor.grad is not None
        assert tensor.grad.abs().sum() > 0


@pytest.mark.parametrize("context", [Context.SOLO, Context.JOINT])
def test_the_whole_model_answers_alike_with_and_without_gradients(context):
    torch.manual_seed(0)
    model = small_model()
    pixels = torch.randn(1, 3, 160, 224)
    text = torch.nn.functional.normalize(torch.randn(3, 24), dim=-1)
    boxes = torch.tensor([[[20.0, 30, 120, 150], [100, 10, 210, 90], [5, 5, 60, 40]]])

    def answer():
        image = model.encode_input(NetworkInput(pixels, ((160, 224),)))
        return model.masks_for_boxes(image, boxes, text, torch.tensor([[0, 1, 2]]), context=context)

    plain = answer()
    assert plain.masks.requires_grad
    with torch.inference_mode():
        fast = answer()
    torch.testing.assert_close(fast.masks, plain.masks.detach(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(fast.boxes, plain.boxes.detach(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(fast.logits, plain.logits.detach(), rtol=1e-3, atol=1e-3)
