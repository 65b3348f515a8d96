"""The text encoder (spec section 4): prompts to unit vectors of the joint space.

Attribute names follow the official checkpoints, so that their keys map one to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openseed_core.config import OpenSeeDConfig
from openseed_core.prompts import TEMPLATES, evaluation_prompts
from openseed_core.shared_prefixes import Prefixes, end_states
from openseed_core.text_cache import TextCache, digest_of, text_cache_folder
from openseed_core.tokenizer import VOCABULARY_SIZE, tokenize

NORM_EPS = 1e-7  # added to the norm, not a lower bound of it


def unit(vectors: Tensor) -> Tensor:
    """Vectors divided by (their length + 1e-7), along the last axis."""
    out: Tensor = vectors / (vectors.norm(dim=-1, keepdim=True) + NORM_EPS)
    return out


class LayerNorm(nn.LayerNorm):
    """Layer norm computed in fp32 whatever the input's type."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.float(), self.bias.float()
        return F.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps).to(x.dtype)


class CausalAttention(nn.Module):
    """Multi-head self-attention with packed input projections; a token sees itself and earlier ones."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        count, length, width = x.shape
        packed = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = packed.view(count, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(count, length, width))
        return out


class Mlp(nn.Module):
    """Two linear layers around QuickGELU, x * sigmoid(1.702 x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.c_fc(x)
        out: Tensor = self.c_proj(hidden * torch.sigmoid(1.702 * hidden))
        return out


class Block(nn.Module):
    """Pre-norm residual block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = CausalAttention(width, heads)
        self.ln_1 = LayerNorm(width)
        self.mlp = Mlp(width)
        self.ln_2 = LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class TextTransformer(nn.Module):
    """Token ids [N, L] to hidden states [N, L, width], L <= context."""

    def __init__(self, config: OpenSeeDConfig) -> None:
        super().__init__()
        width, token_width = config.text_width, config.text_token_dim or config.text_width
        self.token_embedding = nn.Embedding(VOCABULARY_SIZE, token_width)
        self.token_projection = nn.Linear(token_width, width, bias=False) if config.text_token_dim else None
        self.positional_embedding = nn.Parameter(torch.empty(config.text_context, width))
        self.resblocks = nn.ModuleList([Block(width, config.text_heads) for _ in range(config.text_layers)])
        self.ln_final = LayerNorm(width)

    @property
    def blocks(self) -> list[Block]:
        """``resblocks``, with their type."""
        return [block for block in self.resblocks if isinstance(block, Block)]

    def embed(self, token_ids: Tensor, places: Tensor) -> Tensor:
        """What goes into the first block: [N, L, width] for tokens [N, L] at places [L], or without N for [L]."""
        x = self.token_embedding(token_ids)
        if self.token_projection is not None:
            x = self.token_projection(x)
        out: Tensor = x + self.positional_embedding[places]
        return out

    def forward(self, token_ids: Tensor) -> Tensor:
        x = self.embed(token_ids, torch.arange(token_ids.shape[1], device=token_ids.device))
        for block in self.resblocks:
            x = block(x)
        hidden: Tensor = self.ln_final(x)
        return hidden


@dataclass
class _Known:
    """What stays the same between names, as long as the weights (``state``) do."""

    templates: tuple[str, ...]
    state: tuple[tuple[int, int], ...]
    cache: TextCache | None
    prefixes: Prefixes | None = None


class TextEncoder(nn.Module):
    """Class names to unit vectors [.., joint_dim], and logits of visual vectors against them.

    Args:
        config: its ``text_*`` sizes and ``joint_dim``.
    """

    def __init__(self, config: OpenSeeDConfig) -> None:
        super().__init__()
        self.context = config.text_context
        self.lang_encoder = TextTransformer(config)
        self.lang_proj = nn.Parameter(torch.empty(config.text_width, config.joint_dim))
        self.logit_scale = nn.Parameter(torch.ones(()))
        self._initialise()
        self._known: _Known | None = None

    def forward(self, token_ids: Tensor, *, full_length: bool = False) -> Tensor:
        """Embed token ids [N, context] as unit vectors [N, joint_dim].

        The mask is causal, so positions after the last row's end token can't matter and are not computed;
        ``full_length`` computes them all the same.
        """
        end = token_ids.argmax(dim=1)  # the first of equal maxima: the end token, not the padding
        if not full_length and token_ids.numel():
            token_ids = token_ids[:, : int(end.max()) + 1]
        hidden = self.hidden(token_ids)
        pooled = hidden[torch.arange(len(end), device=end.device), end]
        return unit(pooled @ self.lang_proj)

    def hidden(self, token_ids: Tensor) -> Tensor:
        """Hidden states [N, L, width] after the final norm for token ids [N, L], L <= context."""
        out: Tensor = self.lang_encoder(token_ids)
        return out

    def encode_texts(self, texts: Sequence[str], *, batch_size: int = 512, full_length: bool = False) -> Tensor:
        """Embed each text as it stands: unit vectors [N, joint_dim] in the order given.

        Texts of like length share a batch, so that few padded positions are computed.
        """
        device = self.lang_proj.device
        if not texts:
            return torch.zeros(0, self.lang_proj.shape[1], device=device, dtype=self.lang_proj.dtype)
        ids = tokenize(texts, self.context)
        order = ids.argmax(dim=1).argsort(stable=True)
        parts = [self(ids[rows].to(device), full_length=full_length) for rows in torch.split(order, batch_size)]
        return torch.cat(parts)[order.argsort().to(device)]

    def encode_names(
        self,
        prompts: Sequence[Sequence[str]],
        *,
        templates: Sequence[str] = TEMPLATES,
        full_length: bool = False,
    ) -> Tensor:
        """Embed K classes, each given by one or more prompts (its name and synonyms): unit vectors [K, joint_dim].

        A prompt's embedding is the renormalised mean over ``templates``; a class's is that over its prompts.

        Raises:
            ValueError: a class has no prompt, or there is no template.
        """
        if not templates:
            raise ValueError("templates is empty; give at least one, such as '{}.'")
        for k, entry in enumerate(prompts):
            if isinstance(entry, str) or not entry:
                raise ValueError(f"prompts[{k}] is {entry!r}; give a list with at least one text for each class")
        # One prompt at a time: a class's embedding must not change, not even in the last bit, with its neighbours.
        known = None if full_length or len(templates) == 1 else self._known_for(tuple(templates))
        of_prompt = {
            prompt: self._encode_prompt(prompt, templates, full_length=full_length)
            if known is None
            else self._recall(prompt, templates, known)
            for prompt in dict.fromkeys(prompt for entry in prompts for prompt in entry)
        }
        of_class = [torch.stack([of_prompt[prompt] for prompt in entry]).mean(dim=0) for entry in prompts]
        return F.normalize(torch.stack(of_class), dim=-1) if of_class else self.encode_texts([])

    def _encode_prompt(self, prompt: str, templates: Sequence[str], *, full_length: bool) -> Tensor:
        texts = evaluation_prompts(prompt, templates)
        embedded = self.encode_texts(texts, batch_size=32, full_length=full_length)
        return F.normalize(embedded.mean(dim=0), dim=-1)

    def _recall(self, prompt: str, templates: Sequence[str], known: _Known) -> Tensor:
        """As ``_encode_prompt``, from the disk, or with the beginnings of the templates computed before."""
        kept = None if known.cache is None else known.cache.get(prompt)
        if kept is not None:
            return kept.to(self.lang_proj.device)
        ids = tokenize(evaluation_prompts(prompt, templates), self.context)
        if known.prefixes is None:
            known.prefixes = Prefixes.of(self.lang_encoder, templates, self.context)
        if known.prefixes.fit(ids):
            embedded = unit(end_states(self.lang_encoder, ids, known.prefixes) @ self.lang_proj)
            found = F.normalize(embedded.mean(dim=0), dim=-1)
        else:
            found = self._encode_prompt(prompt, templates, full_length=False)
        if known.cache is not None:
            known.cache.put(prompt, found)
        return found

    def _known_for(self, templates: tuple[str, ...]) -> _Known | None:
        """What can be used again with these templates; None while the weights are being changed."""
        parameters = list(self.parameters())
        if torch.is_grad_enabled() or any(p.is_inference() for p in parameters):
            return None
        state = tuple((p.data_ptr(), p._version) for p in parameters)
        if self._known is None or (self._known.templates, self._known.state) != (templates, state):
            folder = text_cache_folder() if self.lang_proj.dtype == torch.float32 else None
            cache = None
            if folder is not None:
                heads = [str(block.attn.heads) for block in self.lang_encoder.blocks]
                digest = digest_of(self.state_dict().items(), [str(self.context), *heads, *templates])
                cache = TextCache(folder, digest, self.lang_proj.shape[1])
            self._known = _Known(templates, state, cache)
        return self._known

    def _initialise(self) -> None:
        encoder = self.lang_encoder
        nn.init.normal_(encoder.token_embedding.weight, std=0.02)
        nn.init.normal_(encoder.positional_embedding, std=0.02)
        width, depth = encoder.positional_embedding.shape[1], len(encoder.resblocks)
        nn.init.normal_(self.lang_proj, std=width**-0.5)
        for name, parameter in encoder.resblocks.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif name.endswith(("out_proj.weight", "c_proj.weight")):  # residual branches: depth adds up to 1
                nn.init.normal_(parameter, std=width**-0.5 * (2 * depth) ** -0.5)
            elif name.endswith("in_proj_weight"):
                nn.init.normal_(parameter, std=width**-0.5)
            elif name.endswith("c_fc.weight"):
                nn.init.normal_(parameter, std=(2 * width) ** -0.5)
