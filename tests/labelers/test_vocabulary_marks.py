"""Marks behind class names: stuff and thresholds, in files and in lists on one line."""

from __future__ import annotations

import pytest

from labelers.vocabulary import Entry, Vocabulary, VocabularyError, parse_line, parse_marked


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("sky [stuff]", Entry("sky", ("sky",), stuff=True)),
        ("sky [stuff] = sky | clouds", Entry("sky", ("sky", "clouds"), stuff=True)),
        ("sky = sky | clouds [stuff]", Entry("sky", ("sky", "clouds"), stuff=True)),
        ("dog [Threshold 0.4]", Entry("dog", ("dog",), threshold=0.4)),
        ("road [stuff] [threshold 0.25] = road", Entry("road", ("road",), stuff=True, threshold=0.25)),
        ("road [stuff][thing]", Entry("road", ("road",))),
        ("room [5]", Entry("room [5]", ("room [5]",))),
        ("stuff", Entry("stuff", ("stuff",))),
        ("bank (river)", Entry("bank (river)", ("bank (river)",))),
    ],
)
def test_marks_are_read(line: str, entry: Entry) -> None:
    assert parse_marked(line) == entry
    assert Vocabulary.parse(line).entries == (entry,)


def test_a_prompt_of_the_command_line_has_no_marks() -> None:
    assert parse_line("sky [stuff]=sky").name == "sky [stuff]"


def test_a_list_on_one_line() -> None:
    found = Vocabulary.inline("person, traffic light, sky (stuff), tv = television | monitor, cat (threshold 0.5),")
    assert found.names == ("person", "traffic light", "sky", "tv", "cat")
    assert [entry.stuff for entry in found.entries] == [False, False, True, False, False]
    assert found.prompts("tv") == ("television", "monitor")
    assert found.entries[4].threshold == 0.5


@pytest.mark.parametrize(
    "text", ["", " , ", "cat, cat", "cat [threshold x]", "cat (threshold 2)", "cat [threshold nan]", "cat [threshold]"]
)
def test_bad_lists_are_refused(text: str) -> None:
    with pytest.raises(VocabularyError):
        Vocabulary.inline(text)


@pytest.mark.parametrize("line", ["sky [stuf]", "sky (Stuffs)", "sky [treshold 0.4]", "sky = clouds [stuf]"])
def test_a_mark_with_a_typing_error_is_no_name(line: str) -> None:
    for read in (parse_marked, Vocabulary.inline, Vocabulary.parse):
        with pytest.raises(VocabularyError, match=r"write \[stuff\]"):
            read(line)


def test_thresholds_are_set_by_class_and_by_default() -> None:
    found = Vocabulary.inline("cat, dog (threshold 0.7), cow").with_thresholds(0.3, {"cat": 0.9})
    assert [entry.threshold for entry in found.entries] == [0.9, 0.7, 0.3]
    with pytest.raises(VocabularyError, match="'horse'"):
        found.with_thresholds(None, {"horse": 0.5})


def test_new_prompts_keep_the_marks() -> None:
    found = Vocabulary.inline("sky (stuff) (threshold 0.2)").with_prompts(["sky = clouds"])
    assert found.get("sky") == Entry("sky", ("clouds",), stuff=True, threshold=0.2)
