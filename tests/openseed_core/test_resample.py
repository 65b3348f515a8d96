"""Windows of enlarged masks equal the whole enlarged mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openseed_core.resample import BLOCK, iterate_windows, windows


def padded_to_32(side: int) -> int:
    return -(-side // 32) * 32


def enlarged(logits, *, padded, size, output):
    """As spec 7.1 says it: bilinear to the padded input, padding cut off, antialiased bicubic to the photo."""
    whole = F.interpolate(logits[None], size=padded, mode="bilinear", align_corners=False)
    return F.interpolate(
        whole[..., : size[0], : size[1]], size=output, mode="bicubic", align_corners=False, antialias=True
    )[0]


@given(
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
    st.tuples(st.integers(1, 700), st.integers(1, 700)),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
@example((96, 128), (96, 128), 0)  # photo at network size
@example((200, 150), (17, 9), 1)  # much smaller
@example((33, 65), (700, 650), 2)  # much larger
@example((1, 1), (300, 2), 3)
@example((30, 70), (90, 1), 4)
def test_windows_equal_the_full_computation(size, output, seed):
    random = np.random.default_rng(seed)
    padded = (padded_to_32(size[0]), padded_to_32(size[1]))
    count = 3
    logits = torch.from_numpy(random.normal(0, 5, (count, padded[0] // 4, padded[1] // 4)).astype(np.float32))
    x = np.sort(random.integers(0, output[1] + 1, (count, 2)), axis=1)
    y = np.sort(random.integers(0, output[0] + 1, (count, 2)), axis=1)
    boxes = np.stack((x[:, 0], y[:, 0], x[:, 1], y[:, 1]), axis=1)
    boxes[0] = 0, 0, output[1], output[0]
    if output[1] == 1:  # torch is wrong at this width, so let it work on the transposed masks
        turned = logits.transpose(1, 2).contiguous()
        full = enlarged(turned, padded=padded[::-1], size=size[::-1], output=output[::-1]).transpose(1, 2)
    else:
        full = enlarged(logits, padded=padded, size=size, output=output)
    found = windows(logits, padded=padded, size=size, output=output, boxes=boxes)
    assert len(found) == count
    for whole, part, (x0, y0, x1, y1) in zip(full, found, boxes, strict=True):
        torch.testing.assert_close(part, whole[y0:y1, x0:x1], rtol=0, atol=2e-4)


def test_a_window_larger_than_a_block_and_its_parts_agree():
    side = 2 * BLOCK + 17
    logits = torch.randn(2, 24, 24, generator=torch.Generator().manual_seed(0))
    options = {"padded": (96, 96), "size": (90, 96), "output": (side, side)}
    whole = windows(logits, **options, boxes=np.array([[0, 0, side, side]] * 2))
    part = windows(logits, **options, boxes=np.array([[5, 300, 400, side], [BLOCK, BLOCK, BLOCK + 1, BLOCK + 1]]))
    torch.testing.assert_close(part[0], whole[0][300:, 5:400], rtol=0, atol=1e-5)
    torch.testing.assert_close(part[1], whole[1][BLOCK : BLOCK + 1, BLOCK : BLOCK + 1], rtol=0, atol=1e-5)


def test_a_mask_does_not_depend_on_the_other_windows():
    logits = torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(1))
    options = {"padded": (64, 64), "size": (64, 50), "output": (100, 90)}
    box = [10, 20, 60, 80]
    alone = windows(logits[:1], **options, boxes=np.array([box]))[0]
    together = windows(logits, **options, boxes=np.array([box, [0, 0, 90, 100]]))[0]
    assert torch.equal(alone, together)


def test_empty_windows_and_bad_ones():
    logits = torch.zeros(2, 8, 8)
    options = {"padded": (32, 32), "size": (32, 32), "output": (40, 30)}
    found = windows(logits, **options, boxes=np.array([[3, 3, 3, 9], [0, 0, 0, 0]]))
    assert [tuple(w.shape) for w in found] == [(6, 0), (0, 0)]
    mixed = windows(logits, **options, boxes=np.array([[3, 3, 9, 3], [0, 0, 2, 2]]))
    assert [tuple(w.shape) for w in mixed] == [(0, 6), (2, 2)]
    assert list(iterate_windows(logits[:0], **options, boxes=np.zeros((0, 4), np.int64))) == []
    with pytest.raises(ValueError, match=r"boxes\[1\].*30 x 40"):
        windows(logits, **options, boxes=np.array([[0, 0, 1, 1], [0, 0, 31, 4]]))
    with pytest.raises(ValueError, match="1 rows for 2 masks"):
        windows(logits, **options, boxes=np.array([[0, 0, 1, 1]]))
