"""Distil sentence embeddings into a small text encoder.

Two steps: ``initialise_tokens`` gives every token of the vocabulary a vector taken from the teacher's static word
vectors, so that words which no training text contains start near their neighbours; ``distil`` then teaches the
transformer to read texts as the teacher does. The table learns much more slowly than the rest: otherwise trained
words would drift away from those that keep their first vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from openseed_core.prompts import TEMPLATES
from openseed_core.text_encoder import TextEncoder
from openseed_core.tokenizer import tokenize


@dataclass(frozen=True)
class DistillationSettings:
    """How ``distil`` trains.

    Attributes:
        steps, batch_size: optimiser steps and texts in each.
        learning_rate: of the transformer; the peak of a one-cycle schedule.
        table_rate: the token table's learning rate as a share of ``learning_rate``.
        templated: share of steps whose texts stand in one of the 81 prompt templates (the target stays that of the
            bare text, so the encoder learns to look through the template).
        temperature: of the softmax over the batch that makes an embedding prefer its own target to the others'.
        contrast: weight of that term beside the cosine distance.
        seed: of every random draw.
    """

    steps: int = 2000
    batch_size: int = 512
    learning_rate: float = 2e-3
    table_rate: float = 0.05
    templated: float = 0.3
    temperature: float = 0.05
    contrast: float = 0.2
    seed: int = 0


@torch.no_grad()
def initialise_tokens(encoder: TextEncoder, vectors: Tensor) -> None:
    """Fill the factorised token table from ``vectors`` [vocabulary, s] by principal components.

    The table keeps the scores, scaled to unit variance overall so that 8-bit floats resolve them; the projection
    starts as a random isometry. Tokens without a vector are given as rows of zeros.

    Raises:
        ValueError: the encoder's table is not factorised, or ``vectors`` has fewer columns than the table.
    """
    table, projection = encoder.lang_encoder.token_embedding.weight, encoder.lang_encoder.token_projection
    if projection is None:
        raise ValueError("text_token_dim is None: only a factorised token table can start from word vectors")
    if vectors.shape[0] != table.shape[0] or vectors.shape[1] < table.shape[1]:
        raise ValueError(f"vectors is {tuple(vectors.shape)}, need {table.shape[0]} rows and {table.shape[1]}+ columns")
    known = vectors.abs().sum(dim=1) > 0
    centred = torch.where(known[:, None], vectors - vectors[known].mean(dim=0), vectors)
    _, axes = torch.linalg.eigh(centred.T @ centred)
    scores = centred @ axes[:, -table.shape[1] :]
    table.copy_(scores / scores[known].std())
    torch.nn.init.orthogonal_(projection.weight)


def distil(
    encoder: TextEncoder,
    texts: Sequence[str],
    targets: Tensor,
    *,
    weights: Tensor | None = None,
    settings: DistillationSettings | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> None:
    """Train ``encoder`` in place until its embedding of ``texts[i]`` points along ``targets[i]``.

    Args:
        texts: N bare texts (names, words, phrases).
        targets: unit vectors [N, joint_dim].
        weights: how often each text is drawn, [N], any scale; all alike when None.
        progress: called after each step with its number (from 1) and loss.
    """
    settings = settings or DistillationSettings()
    random = np.random.default_rng(settings.seed)
    draws = torch.Generator().manual_seed(settings.seed)
    weights = torch.ones(len(texts)) if weights is None else weights
    plain = tokenize(texts, encoder.context)
    optimiser, schedule = _optimiser(encoder, settings)
    encoder.train()
    for step in range(1, settings.steps + 1):
        rows = torch.multinomial(weights, settings.batch_size, replacement=True, generator=draws)
        ids = plain[rows]
        if random.random() < settings.templated:
            ids = tokenize([TEMPLATES[random.integers(len(TEMPLATES))].format(texts[i]) for i in rows], encoder.context)
        loss = distillation_loss(encoder, ids, targets[rows], rows, settings)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if progress:
            progress(step, float(loss.detach()))
    encoder.eval()


def distillation_loss(
    encoder: TextEncoder, ids: Tensor, targets: Tensor, rows: Tensor, settings: DistillationSettings
) -> Tensor:
    """Mean cosine distance plus the weighted contrast within the batch; ``rows`` tells which texts are the same."""
    end = ids.argmax(dim=1)
    parts, order = [], end.argsort(stable=True)
    for chunk in torch.chunk(order, 4):  # texts of like length together: less padding to compute
        parts.append(encoder(ids[chunk]))
    embedded, aim = torch.cat(parts), targets[order]
    distance = 1 - (embedded * aim).sum(dim=1).mean()
    logits = embedded @ aim.T / settings.temperature
    same = rows[order][:, None] == rows[order][None, :]
    same.fill_diagonal_(False)
    contrast = F.cross_entropy(logits.masked_fill(same, -torch.inf), torch.arange(len(logits)))
    return distance + settings.contrast * contrast


def _optimiser(
    encoder: TextEncoder, settings: DistillationSettings
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    table = encoder.lang_encoder.token_embedding.weight
    rest = [p for p in encoder.parameters() if p is not table and p is not encoder.logit_scale]
    rates = [settings.learning_rate, settings.learning_rate * settings.table_rate]
    groups = [{"params": rest, "lr": rates[0]}, {"params": [table], "lr": rates[1]}]
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=settings.steps, pct_start=0.05)
    return optimiser, schedule
