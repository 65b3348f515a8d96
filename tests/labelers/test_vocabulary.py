"""Names and their prompts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelers.vocabulary import Entry, Vocabulary, VocabularyError, parse_line

words = st.text(st.characters(whitelist_categories=["L", "N"]), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("cat", Entry("cat", ("cat",))),
        ("cat = kitten", Entry("cat", ("kitten",))),
        ("  traffic light=traffic lamp |  stop light ", Entry("traffic light", ("traffic lamp", "stop light"))),
        ("a = b = c", Entry("a", ("b = c",))),
    ],
)
def test_lines(line: str, entry: Entry) -> None:
    assert parse_line(line) == entry


@pytest.mark.parametrize("line", ["", "   ", "= dog", "cat =", "cat = |", "cat = a | | b"])
def test_bad_lines_say_what_to_write(line: str) -> None:
    with pytest.raises(VocabularyError, match=r"write"):
        parse_line(line)


def test_a_file_has_comments_and_blank_lines() -> None:
    vocabulary = Vocabulary.parse("# animals\n\ncat = kitten | cat  # small\r\ndog\n")
    assert vocabulary.names == ("cat", "dog")
    assert vocabulary.prompts("cat") == ("kitten", "cat")
    assert vocabulary.prompts("dog") == ("dog",)


def test_a_hash_inside_a_word_is_no_comment() -> None:
    vocabulary = Vocabulary.parse("C# logo = sharp | C#\nroom #5\n  # indented\nbolt#8\t#comment")
    assert vocabulary.names == ("C# logo", "room", "bolt#8")
    assert vocabulary.prompts("C# logo") == ("sharp", "C#")


def test_an_unknown_name_is_its_own_prompt() -> None:
    assert Vocabulary().prompts("zebra") == ("zebra",)


def test_a_name_stands_once() -> None:
    with pytest.raises(VocabularyError, match="'cat' stands twice"):
        Vocabulary.parse("cat\ncat = kitten")


def test_prompts_replace_and_add() -> None:
    vocabulary = Vocabulary.of(["cat", "dog"]).with_prompts(["dog = hound", "cow = cattle"])
    assert vocabulary.names == ("cat", "dog", "cow")
    assert vocabulary.prompts("dog") == ("hound",)
    assert vocabulary.prompts("cow") == ("cattle",)


def test_names_of_a_dataset_may_repeat_or_be_blank() -> None:
    vocabulary = Vocabulary.of(["cat", "", "cat", "  "])
    assert vocabulary.names == ("cat", "", "  ")
    assert vocabulary.prompts("") == ("object",)
    assert vocabulary.prompts("  ") == ("object",)


@given(st.dictionaries(words, st.lists(words, min_size=1, max_size=3), max_size=5))
def test_what_is_written_is_read(classes: dict[str, list[str]]) -> None:
    text = "\n".join(f"{name} = {' | '.join(prompts)}" for name, prompts in classes.items())
    vocabulary = Vocabulary.parse(text)
    assert {name: list(vocabulary.prompts(name)) for name in vocabulary.names} == classes


def test_vocabularies_with_the_same_classes_are_equal() -> None:
    assert Vocabulary.parse("cat\ndog") == Vocabulary.of(["cat", "dog"])
    assert Vocabulary.parse("cat\ndog") != Vocabulary.of(["dog", "cat"])
