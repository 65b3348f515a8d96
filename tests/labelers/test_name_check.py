"""Doubtful names are flagged, sure ones are not."""

from __future__ import annotations

import numpy as np
import pytest

from labelers.name_check import check_names
from labelers.vocabulary import Vocabulary

WORDS = Vocabulary.parse("cat = cat | kitten\nkitten\ndog\ncow")


def one(row: list[float], given: str | None, **options: float) -> object:
    return check_names(np.array([row]), [given], WORDS, **options)[0]


def test_another_class_that_is_clearly_better_flags_the_name() -> None:
    found = one([0.1, 0.1, 0.6, 0.2], "cow")
    assert found.flagged
    assert found.doubt == pytest.approx(0.4)
    assert found.given_score == pytest.approx(0.2)
    assert found.candidates == (("dog", 0.6), ("cow", 0.2), ("cat", 0.1), ("kitten", 0.1))


@pytest.mark.parametrize(("given", "flagged"), [("dog", False), ("cow", False), ("cat", True)])
def test_only_a_margin_is_a_doubt(given: str, flagged: bool) -> None:
    assert one([0.1, 0.0, 0.55, 0.5], given, margin=0.1).flagged is flagged


def test_synonyms_do_not_compete() -> None:
    assert not one([0.2, 0.9, 0.1, 0.1], "cat").flagged
    assert one([0.2, 0.1, 0.9, 0.1], "cat").flagged


@pytest.mark.parametrize("given", [None, "", "zebra"])
def test_without_a_known_name_there_are_candidates_only(given: str | None) -> None:
    found = one([0.2, 0.9, 0.1, 0.1], given)
    assert (found.given, found.doubt, found.flagged) == (None, None, False)
    assert found.candidates[0] == ("kitten", 0.9)


def test_an_unusable_box_has_nothing() -> None:
    found = one([np.nan] * 4, "cat")
    assert (found.candidates, found.flagged) == ((), False)


def test_one_class_alone_is_never_doubtful() -> None:
    assert not check_names(np.array([[0.0]]), ["cat"], Vocabulary.parse("cat"))[0].flagged


def test_other_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="2 boxes and 4 classes"):
        check_names(np.zeros((1, 4)), ["cat", "dog"], WORDS)
