"""The Swin backbone on maps of any size: windows never shrink, padding comes before the shift."""

from __future__ import annotations

import threading

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small import small_config

from openseed_core.backbones.swin import KEPT_MASKS, SwinBackbone, SwinBlock, SwinStage, shift_mask

WINDOW = 4


def naive_attention(block: SwinBlock, x: torch.Tensor) -> torch.Tensor:
    """The attention part of a block for one image [H, W, C], token by token from the definition."""
    height, width, dim = x.shape
    window, shift, heads = block.window, block.shift, block.attn.num_heads
    rows, columns = -(-height // window) * window, -(-width // window) * window
    padded = torch.zeros(rows, columns, dim)
    padded[:height, :width] = block.norm1(x)
    query, key, value = block.attn.qkv(padded).view(rows, columns, 3, heads, dim // heads).unbind(2)
    out = torch.zeros(rows, columns, heads, dim // heads)

    def place(i: int, size: int) -> tuple[int, int, int]:
        """Window, cell in it and region of row or column ``i`` once rolled by -shift."""
        rolled = (i - shift) % size
        region = 0 if rolled < size - window else 1 if rolled < size - shift else 2
        return rolled // window, rolled % window, region if shift else 0

    cells = [(place(i, rows), place(j, columns), i, j) for i in range(rows) for j in range(columns)]
    for row, column, i, j in cells:
        near = [c for c in cells if (c[0][0], c[1][0]) == (row[0], column[0])]
        logits = []
        for other_row, other_column, y, x_ in near:
            at = (row[1] - other_row[1] + window - 1) * (2 * window - 1) + column[1] - other_column[1] + window - 1
            blocked = (row[2], column[2]) != (other_row[2], other_column[2])
            score = (query[i, j] * key[y, x_]).sum(-1) * (dim // heads) ** -0.5
            logits.append(score + block.attn.relative_position_bias_table[at] - 100.0 * blocked)
        weights = torch.stack(logits).softmax(dim=0)
        out[i, j] = sum(w[:, None] * value[c[2], c[3]] for w, c in zip(weights, near, strict=True))
    return block.attn.proj(out.flatten(2))[:height, :width]


@given(st.integers(1, 9), st.integers(1, 9), st.booleans())
@settings(max_examples=8, deadline=None)
@example(1, 1, True)  # a map smaller than the window is padded and shifted all the same
@example(3, 6, True)
@example(8, 4, True)
@torch.no_grad()
def test_a_block_equals_its_definition(height, width, shifted):
    torch.manual_seed(height * 10 + width)
    block = SwinBlock(8, heads=2, window=WINDOW, shift=WINDOW // 2 if shifted else 0, drop_path=0.0).eval()
    torch.nn.init.normal_(block.attn.relative_position_bias_table)
    torch.nn.init.normal_(block.norm1.bias)
    x = torch.randn(1, height, width, 8)
    found = block._attend(block.norm1(x), shift_mask(height, width, WINDOW, like=x))
    torch.testing.assert_close(found[0], naive_attention(block, x[0]), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return SwinBackbone(small_config()).eval()


@pytest.mark.parametrize(("height", "width"), [(32, 32), (1, 1), (33, 47), (96, 160), (5, 130)])
@torch.no_grad()
def test_any_input_size(backbone, height, width):
    maps = backbone(torch.randn(2, 3, height, width))
    assert list(maps) == ["res2", "res3", "res4", "res5"]
    for (name, stride), channels in zip(
        {"res2": 4, "res3": 8, "res4": 16, "res5": 32}.items(), (16, 32, 64, 128), strict=True
    ):
        assert maps[name].shape == (2, channels, -(-height // stride), -(-width // stride))
        assert torch.isfinite(maps[name]).all()


@torch.no_grad()
def test_images_of_a_batch_do_not_see_each_other(backbone):
    images = torch.randn(3, 3, 64, 96)
    together = backbone(images)
    alone = backbone(images[1:2])
    for name, found in alone.items():
        torch.testing.assert_close(found, together[name][1:2], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_masks_are_kept_by_size_and_few(backbone):
    stage = backbone.layers[0]
    for side in (32, 64, 96, 64):
        backbone(torch.randn(1, 3, side, side))
        assert len(stage._layouts) <= KEPT_MASKS
    assert (16, 16, torch.device("cpu"), torch.float32) in stage._layouts
    first = backbone(torch.ones(1, 3, 96, 64))["res5"]
    backbone(torch.ones(1, 3, 64, 96))
    assert torch.equal(first, backbone(torch.ones(1, 3, 96, 64))["res5"])
    assert SwinStage(16, heads=1, window=5, drop_paths=[0.0, 0.0], merge=False)._layouts == {}


@given(st.integers(1, 90), st.integers(1, 90))
@example(64, 64)
@settings(max_examples=10, deadline=None)
def test_in_blocks_it_is_the_same(height, width):
    torch.manual_seed(height)
    backbone = SwinBackbone(small_config()).eval()
    images = torch.randn(2, 3, height, width)
    plain = backbone(images)  # gradients are wanted: whole maps, timm's attention
    assert plain["res5"].requires_grad
    with torch.no_grad():
        blocks = backbone(images)
    for key, expected in plain.items():
        torch.testing.assert_close(blocks[key], expected.detach(), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_threads_with_images_of_different_sizes(backbone):
    images = [torch.randn(1, 3, 32 * k, 32) for k in (1, 2, 3)]
    expected = [backbone(image)["res4"] for image in images]
    failures = []

    @torch.no_grad()  # a thread has its own switch, and the two ways round differently
    def work(k: int) -> None:
        for _ in range(5):
            if not torch.equal(backbone(images[k])["res4"], expected[k]):
                failures.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_drop_path_rises_over_all_blocks_and_acts_only_in_training():
    backbone = SwinBackbone(small_config(drop_path=0.5))
    rates = [block.drop_path.drop_prob for stage in backbone.layers for block in stage.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    image = torch.randn(4, 3, 32, 32)
    torch.manual_seed(0)
    assert not torch.equal(backbone(image)["res5"], backbone(image)["res5"])
    backbone.eval()
    assert torch.equal(backbone(image)["res5"], backbone(image)["res5"])
    backbone(image)["res5"][:, 0].sum().backward()  # over all channels a layer norm adds up to zero
    assert backbone.patch_embed.proj.weight.grad.abs().sum() > 0
