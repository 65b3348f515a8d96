"""The classes of Cityscapes: names, ids, groups and which have instances, as its documentation lists them."""

from __future__ import annotations

from collections.abc import Sequence

from exporters.dataset import Label

UNLABELED = "unlabeled"
"""Drawn over others, it makes pixels nobody's."""

GROUP = "group"
"""Behind a class's name it means a crowd (``cargroup``)."""

_STUFF = {
    "void": "ego vehicle:1 rectification border:2 out of roi:3 static:4 dynamic:5 ground:6",
    "flat": "road:7 sidewalk:8 parking:9 rail track:10",
    "construction": "building:11 wall:12 fence:13 guard rail:14 bridge:15 tunnel:16",
    "object": "pole:17 polegroup:18 traffic light:19 traffic sign:20",
    "nature": "vegetation:21 terrain:22",
    "sky": "sky:23",
}
_THINGS = {
    "human": "person:24 rider:25",
    "vehicle": "car:26 truck:27 bus:28 caravan:29 trailer:30 train:31 motorcycle:32 bicycle:33",
}


def _table() -> dict[str, Label]:
    found: dict[str, Label] = {}
    for groups, is_thing in ((_STUFF, False), (_THINGS, True)):
        for group, text in groups.items():
            words = text.replace(":", " : ").split()
            name: list[str] = []
            for word, after in zip(words, [*words[1:], ""], strict=True):
                if word == ":":
                    label = " ".join(name)
                    found[label] = Label(label, int(after), is_thing=is_thing, supercategory=group)
                    name = []
                elif not word.isdigit():
                    name.append(word)
    # a number plate is part of its car: -1, in no id PNG
    found["license plate"] = Label("license plate", -1, is_thing=False, supercategory="vehicle")
    return found


OFFICIAL = _table()


def png_ids(labels: Sequence[Label]) -> dict[str, int]:
    """label -> id in ``labelIds`` PNGs: the official ones where all are official, else 1, 2, ... in order."""
    if all(label.name in OFFICIAL for label in labels):
        return {label.name: int(OFFICIAL[label.name].id or 0) for label in labels}
    return {label.name: place + 1 for place, label in enumerate(labels)}


def split_name(name: str, known: Sequence[str] | frozenset[str]) -> tuple[str, bool]:
    """(class, whether it is a crowd) of a written name; ``known``: the names that are classes themselves."""
    base = name.removesuffix(GROUP)
    if name in known or name in OFFICIAL or base == name or not (base in known or base in OFFICIAL):
        return name, False
    return base, True
