"""``--vocab`` and ``--thresholds``: what they may be, and what is said where they are wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.errors import UsageError
from app.propose.classes import read_thresholds, read_vocabulary
from exporters.coco import CocoError
from labelers.vocabulary import VocabularyError


def coco(path: Path, categories: Any) -> str:
    path.write_text(json.dumps({"annotations": [{"id": 1}], "categories": categories}))
    return str(path)


def test_a_list_a_name_a_file(tmp_path: Path) -> None:
    assert read_vocabulary("cat").names == ("cat",)
    assert read_vocabulary("cat, sky (stuff)").entries[1].stuff
    assert len(read_vocabulary("Coco_133").entries) == 133
    (tmp_path / "words.txt").write_text("\ufeffcat = kitten\nsky [stuff]\n", "utf-8")
    found = read_vocabulary(str(tmp_path / "words.txt"))
    assert (found.names, found.prompts("cat")) == (("cat", "sky"), ("kitten",))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("coco133", "coco-133?"),
        ("COCO", "coco-133 or coco-80?"),
        ("ade20k", "ade20k-150 or ade20k-847?"),
        ("cityscapes", "cityscapes-19?"),
        ("coco-132", "coco-133"),
        ("pascal-context", "pascal-context-59?"),
    ],
)
def test_a_list_that_is_nearly_named_is_no_class(text: str, meant: str) -> None:
    with pytest.raises(UsageError, match=re.escape(meant)):
        read_vocabulary(text)
    assert read_vocabulary(f"{text},").names == (text,)


def test_short_words_are_classes() -> None:
    for word in ("sun", "cat", "city", "cocoa", "number 7"):
        assert read_vocabulary(word).names == (word,)


def test_the_categories_of_a_file(tmp_path: Path) -> None:
    found = read_vocabulary(
        coco(
            tmp_path / "data.json",
            [
                {"id": 1, "name": "aerosol_can"},
                {"id": 2, "name": "sky-other-merged", "supercategory": "Stuff"},
                {"id": 3, "name": "wall", "isthing": 0},
                {"id": 4, "name": "tree", "isthing": 1, "supercategory": "stuff"},
                {"id": 5, "name": "wall"},
                {"id": 6},
                "no object",
            ],
        )
    )
    assert [(e.name, e.prompts, e.stuff) for e in found.entries] == [
        ("aerosol_can", ("aerosol can",), False),
        ("sky-other-merged", ("sky",), True),
        ("wall", ("wall",), True),
        ("tree", ("tree",), False),
    ]


def test_bad_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "twice.txt").write_text("cat\ncat\n")
    (tmp_path / "cut.json").write_text('{"categories": [')
    for text, kind in (
        (str(tmp_path / "bad.txt"), UsageError),
        (str(tmp_path / "empty.txt"), UsageError),
        (str(tmp_path / "twice.txt"), VocabularyError),
        (str(tmp_path / "cut.json"), CocoError),
        (str(tmp_path / "gone.json"), UsageError),
        (coco(tmp_path / "none.json", []), UsageError),
        ("lvis", VocabularyError),
        (" ", VocabularyError),
    ):
        with pytest.raises(kind):
            read_vocabulary(text)


def test_thresholds(tmp_path: Path) -> None:
    assert read_thresholds("person=0.5, a = b = 0.25,") == {"person": 0.5, "a = b": 0.25}
    (tmp_path / "t.txt").write_text("# mine\nperson = 0.5\n\nsky=1 # all\n")
    assert read_thresholds(str(tmp_path / "t.txt")) == {"person": 0.5, "sky": 1.0}


@pytest.mark.parametrize("text", ["person", "person=", "=0.5", "person=2", "person=nan", "a=0.1, b=x"])
def test_bad_thresholds(text: str) -> None:
    with pytest.raises(UsageError, match="--thresholds"):
        read_thresholds(text)
