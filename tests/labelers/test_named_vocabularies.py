"""Class lists of public data sets."""

from __future__ import annotations

import pytest

from labelers.named_vocabularies import NAMES, about, clean_prompt, named, names
from labelers.vocabulary import VocabularyError

SIZES = {  # classes, stuff
    "coco-133": (133, 53),
    "coco-80": (80, 0),
    "objects365": (365, 0),
    "ade20k-150": (150, 50),
    "cityscapes-19": (19, 11),
    "bdd-19": (19, 11),
    "bdd-40": (40, 30),
    "scannet-20": (20, 2),
    "scannet-37": (37, 3),
    "scannet-40": (40, 3),
    "sun-37": (37, 3),
    "pascal-context-59": (59, 29),
    "ade20k-847": (847, 49),
}


@pytest.mark.parametrize("name", NAMES)
def test_every_list_is_whole(name: str) -> None:
    entries = named(name).entries
    assert (len(entries), sum(entry.stuff for entry in entries)) == SIZES[name]
    assert about(name)
    assert names() == NAMES


def test_prompts_are_the_cleaned_names() -> None:
    coco = named("COCO_133")
    assert coco.prompts("sky-other-merged") == ("sky",)
    assert coco.prompts("door-stuff") == ("door",)
    assert coco.prompts("floor-wood") == ("floor-wood",)
    assert coco.names[0] == "person"
    assert [entry.stuff for entry in coco.entries] == [False] * 80 + [True] * 53


def test_a_name_that_stands_twice_keeps_its_prompt() -> None:
    assert named("ade20k-847").prompts("patio (2)") == ("patio",)


def test_a_name_made_of_what_is_dropped_stays() -> None:
    assert clean_prompt("-other") == "-other"


@pytest.mark.parametrize(("name", "said"), [("lvis", "own JSON"), ("coco-81", "coco-80")])
def test_unknown_lists_say_what_there_is(name: str, said: str) -> None:
    with pytest.raises(VocabularyError, match=said):
        named(name)
