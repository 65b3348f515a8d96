"""Who is asked what in which order, and the numbers that follow. Knows workers only through ``Ask``.

Every comparison is paired: within a round each photo goes through all contestants one after the other, so that other
load on the machine hits them alike, and ratios are medians of ratios of neighbours in time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

from benchmarks.photos import SpeedPhoto


class Ask(Protocol):
    """``Team.ask``."""

    def __call__(self, name: str, do: str, /, **details: Any) -> Any: ...


@dataclass(frozen=True)
class Timed:
    """One photo through one contestant. Seconds; ``stages`` and ``calls`` by stage name."""

    seconds: float
    stages: Mapping[str, float]
    calls: Mapping[str, int]
    rows: int
    masks: int


@dataclass(frozen=True)
class Times:
    """One contestant on the photos of one size: ``runs[r][p]`` is round r, photo p."""

    runs: tuple[tuple[Timed, ...], ...]

    def by_photo(self) -> list[float]:
        """Median over the rounds, for each photo."""
        return [median(timed.seconds for timed in column) for column in zip(*self.runs, strict=True)]

    def seconds(self) -> float:
        """Median of the photos."""
        return median(self.by_photo())

    def stages(self) -> dict[str, float]:
        """Median over all runs, by stage."""
        everything = [timed for run in self.runs for timed in run]
        names = dict.fromkeys(name for timed in everything for name in timed.stages)
        return {name: median(timed.stages.get(name, 0.0) for timed in everything) for name in names}

    def encodes(self) -> float:
        """Images or crops that went through the encoder, median of the photos."""
        return median(timed.calls.get("encode", 0) for run in self.runs for timed in run)


def run_rounds(
    ask: Ask, names: Sequence[str], photos: Sequence[SpeedPhoto], *, rounds: int, tick: Callable[[], None]
) -> dict[str, Times]:
    """One photo of warm-up each, then ``rounds`` times every photo through every contestant.

    The order of the contestants turns by one from photo to photo: nobody always comes after the same one.
    """
    for name in names:
        ask(name, "label", photo=photos[0].as_json())
        tick()
    found: dict[str, list[list[Timed]]] = {name: [[] for _ in range(rounds)] for name in names}
    for r in range(rounds):
        for p, photo in enumerate(photos):
            turn = (r + p) % len(names)
            for name in (*names[turn:], *names[:turn]):
                found[name][r].append(Timed(**ask(name, "label", photo=photo.as_json())))
                tick()
    return {name: Times(tuple(tuple(run) for run in runs)) for name, runs in found.items()}


def paired_ratio(slow: Times, fast: Times) -> float:
    """How many times longer ``slow`` takes: median over all pairs of the same round and photo."""
    pairs = zip(
        (timed.seconds for run in slow.runs for timed in run),
        (timed.seconds for run in fast.runs for timed in run),
        strict=True,
    )
    return median(a / b for a, b in pairs)


@dataclass(frozen=True)
class BoxCount:
    """One contestant's time by number of boxes, without zoom. ``ratio``: many boxes to one, median of pairs."""

    few: int
    many: int
    few_seconds: float
    many_seconds: float
    ratio: float


def box_count(ask: Ask, name: str, photo: SpeedPhoto, *, few: int, rounds: int) -> BoxCount:
    """``few`` boxes of the photo against all of them, one after the other in every round."""
    asked = (photo.first(few), photo)
    for one in asked:
        ask(name, "label", photo=one.as_json(), zoom=False)
    pairs = [[ask(name, "label", photo=one.as_json(), zoom=False)["seconds"] for one in asked] for _ in range(rounds)]
    return BoxCount(
        few=few,
        many=len(photo.boxes),
        few_seconds=median(pair[0] for pair in pairs),
        many_seconds=median(pair[1] for pair in pairs),
        ratio=median(pair[1] / pair[0] for pair in pairs),
    )


@dataclass(frozen=True)
class Click:
    """Seconds from a box on an opened photo to its RLE: median and 95th percentile of ``count`` clicks."""

    median: float
    high: float
    count: int


def click(ask: Ask, name: str, photo: SpeedPhoto, *, new_crop: bool, rounds: int) -> Click:
    """Each box of the photo is one click; one click is warm-up."""
    ask(name, "click", photo=photo.first(1).as_json(), new_crop=new_crop)
    seconds = sorted(one for _ in range(rounds) for one in ask(name, "click", photo=photo.as_json(), new_crop=new_crop))
    return Click(median(seconds), seconds[min(int(0.95 * len(seconds)), len(seconds) - 1)], len(seconds))


@dataclass(frozen=True)
class Bar:
    """A promise and what was measured. ``at_least``: else the value has to stay below ``limit``."""

    title: str
    value: float
    limit: float
    at_least: bool

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value < self.limit
