"""The space that the small text encoder is taught: a teacher's sentence embeddings, projected and retrofitted.

``fit_projection`` finds the linear map from the teacher's space to the joint space that keeps the teacher's cosines
while it pulls related words (synonyms, a kind and its genus) together; ``retrofit`` then moves each text a little
towards the mean of its relatives.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Relations:
    """Directed edges between texts: ``source[i]`` is pulled to ``target[i]`` with ``weight[i]`` (each [E])."""

    source: Tensor
    target: Tensor
    weight: Tensor


@dataclass(frozen=True)
class ProjectionSettings:
    """How ``fit_projection`` trains: Adam steps, pairs a step, rate (falls to 0), softmax temperature, weight of the
    squared change of the teacher's cosines, weight of the nearest-class term, seed."""

    steps: int = 120
    batch_size: int = 512
    learning_rate: float = 1e-3
    temperature: float = 0.1
    fidelity: float = 10.0
    class_weight: float = 0.05
    seed: int = 0


@dataclass(frozen=True)
class Projection:
    """The affine map [t, e], [e] from the teacher's space to the joint space."""

    weight: Tensor
    bias: Tensor

    def __call__(self, embeddings: Tensor) -> Tensor:
        """Teacher embeddings [..., t] to unit vectors [..., e]."""
        return F.normalize(embeddings @ self.weight + self.bias, dim=-1)


def principal_projection(embeddings: Tensor, size: int) -> Projection:
    """The ``size`` principal axes of ``embeddings`` [N, t] without centring: cosines change least."""
    _, axes = torch.linalg.eigh(embeddings.T @ embeddings)
    return Projection(axes[:, -size:].contiguous(), torch.zeros(size))


def fit_projection(
    embeddings: Tensor,
    relations: Relations,
    *,
    start: Projection,
    examples: Tensor,
    labels: Tensor,
    classes: Tensor,
    settings: ProjectionSettings | None = None,
) -> Projection:
    """Train the projection from ``start``.

    Args:
        embeddings: the teacher's, [N, t], unit length.
        relations: edges among these N texts, drawn in proportion to their weight.
        examples, labels: rows of ``embeddings`` and the row of ``classes`` each should be nearest to, [M].
        classes: the teacher's embeddings of class names, [K, t].
    """
    settings = settings or ProjectionSettings()
    draws = torch.Generator().manual_seed(settings.seed)
    weight, bias = start.weight.clone().requires_grad_(), start.bias.clone().requires_grad_()
    project = Projection(weight, bias)
    optimiser = torch.optim.Adam([weight, bias], lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / settings.steps)
    share = torch.bincount(labels, minlength=len(classes))[labels].float() ** -0.7  # rare classes count too
    for _ in range(settings.steps):
        edge = torch.multinomial(relations.weight, settings.batch_size, replacement=True, generator=draws)
        a, b = relations.source[edge], relations.target[edge]
        logits = project(embeddings[a]) @ project(embeddings[b]).T / settings.temperature
        same = (a[:, None] == a) | (b[:, None] == b)
        same.fill_diagonal_(False)
        logits = logits.masked_fill(same, -torch.inf)
        own = torch.arange(len(a))
        loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        pick = torch.multinomial(share, settings.batch_size // 2, replacement=True, generator=draws)
        nearest = project(embeddings[examples[pick]]) @ project(classes).T / settings.temperature
        loss = loss + settings.class_weight * F.cross_entropy(nearest, labels[pick])
        one, two = torch.randint(len(embeddings), (2, settings.batch_size), generator=draws)
        change = project(embeddings[one]) @ project(embeddings[two]).T - embeddings[one] @ embeddings[two].T
        loss = loss + settings.fidelity * change.square().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return Projection(weight.detach(), bias.detach())


def retrofit(vectors: Tensor, relations: Relations, *, strength: float = 0.6, rounds: int = 2) -> Tensor:
    """Move each vector [N, e] towards the weighted mean of its relatives: v + strength * mean, renormalised.

    Later rounds start from the original vectors and use the relatives' moved ones. Texts without relatives stay.
    """
    total = torch.zeros(len(vectors)).index_add_(0, relations.source, relations.weight)
    share = (relations.weight / total[relations.source])[:, None]
    moved = vectors
    for _ in range(rounds):
        pull = torch.zeros_like(vectors).index_add_(0, relations.source, share * moved[relations.target])
        moved = F.normalize(vectors + strength * pull, dim=-1)
    return moved
