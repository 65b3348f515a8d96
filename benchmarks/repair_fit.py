"""The weights of ``labelers.repair``: logistic regression on the surroundings of simulated clicks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from benchmarks.clicks import Subject, next_click, one_box
from benchmarks.repair_ways import Situation, product
from exporters.masks import area, decode
from labelers.clicks import CUES, GEOMETRY, Click, cues, look_around
from labelers.protocol import Hinting, Labeler
from labelers.repair import BOX_MARGIN
from labelers.vocabulary import Vocabulary
from labelers.windows import touched

CLICKS = 3
PLACES = 300
"""Places looked at around each click."""

PENALTY = 1e-3

Table = NDArray[np.float64]


def fitted(labeler: Labeler, chosen: Sequence[Subject]) -> str:
    """Both sets of weights, as text to be put into ``labelers/repair.py``."""
    values, follows, weight = samples(labeler, chosen)
    lines = [f"{len(follows)} places"]
    for title, names in (("WITH_HINT", CUES), ("GEOMETRY_ALONE", GEOMETRY)):
        found, loss = logistic(values[:, : len(names)], follows, weight)
        lines.append(
            f"{title} = ({', '.join(f'{value:.3f}' for value in found)})  # {', '.join(names)}; loss {loss:.4f}"
        )
    return "\n".join(lines)


def samples(labeler: Labeler, chosen: Sequence[Subject]) -> tuple[Table, NDArray[np.bool_], Table]:
    """Cues [P, cues] of places around clicks, whether each should follow the click [P], and its weight [P].

    A click stands for its error's share of the object, so that places weigh as much as they count in the IoU.
    """
    generator = np.random.default_rng(0)
    values: list[Table] = []
    follows: list[NDArray[np.bool_]] = []
    weight: list[Table] = []
    for number, subject in enumerate(chosen):
        photo = subject.header.photo("subject")
        opened, truth, mask = labeler.open(photo), decode(subject.truth), subject.mask
        if not isinstance(opened, Hinting):
            raise ValueError("only a labeler that gives hints has weights to fit; take --labeler conditioned")
        opened.masks(one_box(subject), Vocabulary())
        for _ in range(CLICKS):
            clicked = next_click(decode(mask), truth, generator if number % 2 else None)
            if clicked is None:
                break
            at = Situation(subject, opened, photo.pixels(), mask, *clicked)
            click = Click(at.x, at.y, at.include, at.edge, at.side)
            around = look_around(mask, click)
            hint = opened.hint(subject.box, subject.name, Vocabulary(), at=at.centre)
            height, width = mask["size"]
            box = touched(subject.box, height=height, width=width, margin=BOX_MARGIN)
            maps = np.stack(cues(click, around, size=(height, width), hint=hint, box=box), axis=-1)
            places = np.flatnonzero(around.coarse())
            taken = generator.choice(places, min(PLACES, len(places)), replace=False)
            row, column = np.unravel_index(taken, maps.shape[:2])
            x, y = around.centres
            down, right = np.minimum(y[row].astype(int), height - 1), np.minimum(x[column].astype(int), width - 1)
            values.append(maps[row, column].astype(np.float64))
            follows.append(truth[down, right] == at.include)
            share = around.step**2 * len(places) / len(taken) / area(subject.truth)
            weight.append(np.full(len(taken), share))
            mask = product(at)
    return np.concatenate(values), np.concatenate(follows), np.concatenate(weight)


def logistic(values: Table, follows: NDArray[np.bool_], weight: Table) -> tuple[Table, float]:
    """Weights of the cues and the mean loss."""
    weight = weight / weight.mean()
    spread = values.std(axis=0)
    scale = np.where(spread > 1e-6, spread, 1.0)
    signed = np.where(follows, 1.0, -1.0)[:, None] * values / scale

    def loss(weights: Table) -> tuple[float, Table]:
        margin = signed @ weights
        wrong = weight / (1 + np.exp(np.clip(margin, -50, 50)))
        value = float((weight * np.logaddexp(0, -margin)).mean() + PENALTY * weights @ weights)
        return value, -(wrong @ signed) / len(signed) + 2 * PENALTY * weights

    found = scipy.optimize.minimize(loss, np.zeros(values.shape[1]), jac=True, method="L-BFGS-B")
    return np.asarray(found.x / scale), math.nan if not found.success else float(found.fun)
