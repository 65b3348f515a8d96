"""What the project's tab does with a table of classes that was edited in the browser."""

from __future__ import annotations

import pytest

from app.store.errors import StoreError
from app.store.projects import Project, categories
from app.ui.project_tab import save_classes


def rows(project: Project) -> list[list[object]]:
    return [[one.id, one.name, one.colour, " | ".join(one.synonyms)] for one in categories(project)]


def test_only_what_was_edited_changes(project: Project) -> None:
    table = rows(project)
    assert save_classes(project, table) == 0
    table[0][2], table[1][3] = " #ABCDEF ", "hound | | puppy"
    table[1][0] = float(str(table[1][0]))  # a table with an empty cell somewhere has floats
    assert save_classes(project, table) == 2
    first, second, _ = categories(project)
    assert (first.colour, second.synonyms) == ("#abcdef", ("hound", "puppy"))


@pytest.mark.parametrize("cell", [None, "", "x", float("nan"), 1.5, 99, True, [1]])
def test_a_row_without_a_class_is_refused(project: Project, cell: object) -> None:
    with pytest.raises(StoreError, match="below the table") if cell is not True else pytest.raises(StoreError):
        save_classes(project, [[cell, "new", "#000000x", ""]])
