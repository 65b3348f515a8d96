"""Many names in the same templates: what stands before the name is computed once for all names.

Attention is causal, so keys and values of the tokens in front of a name don't depend on it. They are kept; for each
name only its own tokens and what follows them go through the transformer, all templates in one matrix without padding.
In the last layer only the end tokens are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from openseed_core.tokenizer import END_ID, tokenize

if TYPE_CHECKING:
    from openseed_core.text_encoder import Block, TextTransformer


@dataclass(frozen=True)
class Prefixes:
    """What templates have in front of the name.

    Attributes:
        tokens: of each of T templates, the start token and those in front of the name.
        layers: for each layer keys and values [2, T, heads, P, head width]; template t has ``len(tokens[t])`` of them.
    """

    tokens: tuple[tuple[int, ...], ...]
    layers: tuple[Tensor, ...]

    @staticmethod
    def of(transformer: TextTransformer, templates: Sequence[str], context: int) -> Prefixes:
        """Run the transformer over the fronts of the templates."""
        fronts = [template.partition("{}")[0] for template in templates]
        ids = tokenize(fronts, context)
        tokens = tuple(_before_end(row) for row in ids.tolist())
        longest = max(map(len, tokens))
        device = transformer.positional_embedding.device
        layers: list[Tensor] = []
        x = transformer.embed(ids[:, :longest].to(device), torch.arange(longest, device=device))
        for block in transformer.blocks:
            q, k, v = _packed(block, block.ln_1(x)).unbind(0)
            layers.append(torch.stack((k, v)))
            x = _after(block, x, F.scaled_dot_product_attention(q, k, v, is_causal=True))
        return Prefixes(tokens, tuple(layers))

    def fit(self, ids: Tensor) -> bool:
        """Whether the token rows [T, context] begin with these tokens. A name can merge with what stands before it."""
        return all(tuple(row[: len(front)]) == front for row, front in zip(ids.tolist(), self.tokens, strict=True))


def end_states(transformer: TextTransformer, ids: Tensor, prefixes: Prefixes) -> Tensor:
    """Hidden states [T, width] at the end tokens of the rows [T, context], which begin with the prefixes."""
    device = transformer.positional_embedding.device
    rows = ids.tolist()
    tails = [[*_before_end(row), END_ID][len(front) :] for row, front in zip(rows, prefixes.tokens, strict=True)]
    order = sorted(range(len(tails)), key=lambda t: len(tails[t]))  # templates with as many tokens stand together
    flat = torch.tensor([token for t in order for token in tails[t]], device=device)
    at = [len(prefixes.tokens[t]) + i for t in order for i in range(len(tails[t]))]
    x = transformer.embed(flat, torch.tensor(at, device=device))
    groups = _groups(order, tails, prefixes, device)
    ends = torch.tensor([len(tails[t]) for t in order], device=device).cumsum(0) - 1
    last = len(transformer.resblocks) - 1
    for i, block in enumerate(transformer.blocks):
        packed = F.linear(block.ln_1(x), block.attn.in_proj_weight, block.attn.in_proj_bias)
        mixed = torch.cat([group.attend(packed, prefixes.layers[i], block.attn.heads) for group in groups])
        if i == last:  # nobody looks at the other tokens any more
            x, mixed = x[ends], mixed[ends]
        x = x + block.attn.out_proj(mixed)
        x = x + block.mlp(block.ln_2(x))
    found = transformer.ln_final(x)
    out = torch.empty_like(found)
    out[torch.tensor(order, device=device)] = found
    return out


@dataclass(frozen=True)
class _Group:
    """Templates with ``length`` tokens each after their prefix: rows start..stop of the packed tokens."""

    templates: Tensor
    start: int
    stop: int
    length: int
    seen: Tensor  # bool [templates, 1, length, longest prefix + length]: what a token attends to

    def attend(self, packed: Tensor, layer: Tensor, heads: int) -> Tensor:
        """Attention of the group's tokens to their prefixes and to each other: [rows, width]."""
        own = packed[self.start : self.stop].view(len(self.templates), self.length, 3, heads, -1).permute(2, 0, 3, 1, 4)
        keys, values = torch.cat((layer[:, self.templates], own[1:]), dim=3).unbind(0)
        mixed = F.scaled_dot_product_attention(own[0], keys, values, attn_mask=self.seen)
        return mixed.transpose(1, 2).reshape(self.stop - self.start, -1)


def _groups(order: list[int], tails: list[list[int]], prefixes: Prefixes, device: torch.device) -> list[_Group]:
    longest = max(map(len, prefixes.tokens))
    groups: list[_Group] = []
    start = 0
    for length in sorted({len(tail) for tail in tails}):
        members = [t for t in order if len(tails[t]) == length]
        fronts = torch.tensor([len(prefixes.tokens[t]) for t in members])
        front = (torch.arange(longest)[None] < fronts[:, None])[:, None].expand(-1, length, -1)
        causal = torch.ones(length, length, dtype=torch.bool).tril().expand(len(members), -1, -1)
        seen = torch.cat((front, causal), dim=2)
        stop = start + length * len(members)
        groups.append(_Group(torch.tensor(members, device=device), start, stop, length, seen[:, None].to(device)))
        start = stop
    return groups


def _before_end(row: Sequence[int]) -> tuple[int, ...]:
    return tuple(row[: row.index(END_ID)])


def _packed(block: Block, x: Tensor) -> Tensor:
    """Queries, keys and values [3, N, heads, L, head width] of normed states [N, L, width]."""
    count, length, width = x.shape
    packed = F.linear(x, block.attn.in_proj_weight, block.attn.in_proj_bias)
    heads = block.attn.heads
    return packed.view(count, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4)


def _after(block: Block, x: Tensor, mixed: Tensor) -> Tensor:
    x = x + block.attn.out_proj(mixed.transpose(1, 2).reshape(x.shape))
    out: Tensor = x + block.mlp(block.ln_2(x))
    return out
