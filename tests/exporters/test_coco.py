import json
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporters.coco import PROVENANCE_KEY, CocoDocument, CocoError, Edit
from exporters.coco_edit import edited

RING = [[0, 0, 5, 0, 5, 4, 1, 2]]


def save(folder: Path, content: Any, name: str = "in.json") -> Path:
    path = folder / name
    data = (
        content
        if isinstance(content, bytes)
        else (content if isinstance(content, str) else json.dumps(content)).encode()
    )
    path.write_bytes(data)
    return path


def written(path: Path, edit: Callable[[int], Edit | None]) -> bytes:
    out = path.with_suffix(".out")
    with CocoDocument.open(path) as document:
        document.write(out, edit)
    return out.read_bytes()


ODD = (
    b'\xef\xbb\xbf{ "info" : {"year": 2024, "year": 2025, "\xc3\xa9": 1e3},\r\n '
    b'"x-unknown": [1.0, {"deep": [NaN, -Infinity]}],\n'
    b'\t"annotations" : [ {"id": "a-1", "image_id": 7, "category_id": 0, "bbox": [1.0, 2.50, 1e1, 20], "iscrowd": 1},\n'
    b'   {"id":0,"image_id":"caf\\u00e9","category_id":1E0,"bbox":[NaN,1,2,3],'
    b'"bbox":[0,0,4,4],"extra":{"z":1,"a":[ ]}} ,'
    b'{"segmentation":[[0,0,5,0,5,4,1,2]],"area":9.50,"bbox":[0,0,5,4],"image_id":7,'
    b'"category_id":99,"id":12345678901234567890} ] , "licenses": [], "images":['
    b'{"id":7,"file_name":"\xe6\x97\xa5.jpg","width":640,"height":480.0,"coco_url":"u"},'
    b'{"id":"caf\xc3\xa9","file_name":"b.jpg"}],\n"categories":[{"supercategory":"s","id":0,"name":"\\u65e5"},{"id":1,"name":"b"}]}\n\n'
)


def test_an_unedited_document_is_copied_byte_for_byte(tmp_path: Path) -> None:
    assert written(save(tmp_path, ODD), lambda row: None) == ODD


def test_every_byte_that_is_read_is_told(tmp_path: Path) -> None:
    path = save(tmp_path, ODD)
    sizes: list[int] = []
    CocoDocument.open(path, on_read=sizes.append).close()
    assert sum(sizes) == path.stat().st_size


def test_numbers_beyond_all_floats_are_no_sizes_and_no_areas(tmp_path: Path) -> None:
    huge = "9" * 400
    path = save(
        tmp_path,
        f'{{"images": [{{"id": 1, "file_name": "a", "width": {huge}, "height": 5}}], "categories": [],'
        f' "annotations": [{{"id": 1, "image_id": 1, "bbox": [0, 0, 2, {huge}], "area": {huge}}}]}}',
    )
    with CocoDocument.open(path) as document:
        assert (document.images[0].width, document.images[0].height) == (None, 5)
        assert document.annotations(0).xywh[0, 3] == math.inf
    # such an area is left alone: it can't be compared with the box
    assert json.loads(written(path, lambda row: Edit(area=3)))["annotations"][0]["area"] == int(huge)


def test_columns_of_an_odd_document(tmp_path: Path) -> None:
    with CocoDocument.open(save(tmp_path, ODD)) as document:
        assert [(i.key, i.file_name, i.width, i.height) for i in document.images] == [
            ("7", "日.jpg", 640, 480),
            ('"caf\\u00e9"', "b.jpg", None, None),
        ]
        assert [(c.id, c.name) for c in document.categories] == [(0, "日"), (1, "b")]
        first, second = document.annotations(0), document.annotations(1)
        assert first.rows.tolist() == [0, 2]
        assert first.keys == ('"a-1"', "12345678901234567890")
        assert first.xywh.tolist() == [[1, 2.5, 10, 20], [0, 0, 5, 4]]
        assert first.category_rows.tolist() == [0, -1]
        assert first.iscrowd.tolist() == [True, False]
        assert first.has_mask.tolist() == [False, True]
        assert np.isnan(first.scores).all()
        assert (second.keys, second.category_rows.tolist(), second.xywh.tolist()) == (("0",), [1], [[0, 0, 4, 4]])
        assert document.segmentation(2) == RING
        assert document.segmentation(0) is None
        assert document.raw_annotation(1)["extra"] == {"z": 1, "a": []}
        assert document.problems == [
            "1 annotations whose category_id belongs to no category: annotation 2 (category_id 99)"
        ]


def test_an_edit_changes_the_spans_of_its_values_only(tmp_path: Path) -> None:
    edit = Edit(segmentation=[[1, 2, 3, 4, 5, 6]], area=7, bbox=(1, 2, 3.5, 4), provenance={"labeler": "é"})
    out = written(save(tmp_path, ODD), lambda row: edit if row else None)
    assert out == ODD.replace(
        b'"bbox":[0,0,4,4],"extra":{"z":1,"a":[ ]}}',
        b'"bbox":[1,2,3.5,4],"extra":{"z":1,"a":[ ]},"segmentation":[[1,2,3,4,5,6]],"area":7,'
        b'"openseed_label":{"labeler":"\\u00e9"}}',
    ).replace(
        b'{"segmentation":[[0,0,5,0,5,4,1,2]],"area":9.50,"bbox":[0,0,5,4],"image_id":7,"category_id":99,"id":12345678901234567890}',
        b'{"segmentation":[[1,2,3,4,5,6]],"area":9.50,"bbox":[1,2,3.5,4],"image_id":7,"category_id":99,'
        b'"id":12345678901234567890,"openseed_label":{"labeler":"\\u00e9"}}',
    )


scalar = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
value = st.recursive(
    scalar, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=3), v, max_size=3), max_leaves=6
)
key = st.text(max_size=3) | st.sampled_from(
    ["id", "bbox", "area", "segmentation", PROVENANCE_KEY, "iscrowd", "score", "image_id"]
)
annotation = st.lists(st.tuples(key, value), max_size=7)


def text_of(pairs: list[tuple[str, Any]], comma: str, colon: str) -> str:
    return "{" + comma.join(json.dumps(k) + colon + json.dumps(v) for k, v in pairs) + "}"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(annotation, max_size=5),
    st.sampled_from([(", ", ": "), (",", ":"), (" ,\n  ", " : ")]),
    st.sets(st.integers(0, 4)),
    st.sampled_from(
        [Edit(segmentation=RING), Edit(provenance={"a": [1, None]}), Edit(provenance={}), Edit(bbox=(1, 2, 3, 4))]
    ),
)
def test_whatever_the_annotations_hold_only_the_edited_key_changes(
    tmp_path: Path, annotations: list[Any], separators: tuple[str, str], rows: set[int], edit: Edit
) -> None:
    comma, colon = separators
    texts = [text_of(pairs, comma, colon) for pairs in annotations]
    text = f'{{"images": [], "annotations": [{comma.join(texts)}], "z": 1.0}}'
    out = written(save(tmp_path, text), lambda row: edit if row in rows else None).decode()
    name = "segmentation" if edit.segmentation else "bbox" if edit.bbox else PROVENANCE_KEY
    new = edit.segmentation or (list(edit.bbox) if edit.bbox else edit.provenance)
    found = json.loads(out, object_pairs_hook=list)
    wanted = []
    for row, pairs in enumerate(annotations):
        pairs = [(k, json.loads(json.dumps(v))) for k, v in pairs]
        places = [at for at, (k, _) in enumerate(pairs) if k == name]
        if row in rows and edit.provenance == {}:
            pairs = [(k, v) for k, v in pairs if k != name]
        elif row in rows and places:
            pairs[places[-1]] = (name, new)
        elif row in rows:
            pairs.append((name, new))
        wanted.append(pairs)
    reparsed = (
        json.loads(json.dumps(found[1][1])),
        [json.loads(text_of(p, ",", ":"), object_pairs_hook=list) for p in wanted],
    )
    assert json.dumps(reparsed[0]) == json.dumps(reparsed[1])
    untouched = [t for row, t in enumerate(texts) if row not in rows]
    assert all(t in out for t in untouched)
    assert out.startswith('{"images": [], "annotations": [')
    assert out.endswith('], "z": 1.0}')


@pytest.mark.parametrize(
    ("old", "force", "changed"),
    [
        ("", False, True),
        ('"area": null, ', False, True),
        ('"area": NaN, ', False, True),
        ('"area": 0, ', False, True),
        ('"area": "200", ', False, True),
        ('"area": 200.0, ', False, True),
        ('"area": 199.6, ', False, True),
        ('"area": 150.5, ', False, False),
        ('"area": 150.5, ', True, True),
    ],
)
def test_area_is_replaced_only_where_it_says_nothing_about_a_mask(
    tmp_path: Path, old: str, force: bool, changed: bool
) -> None:
    text = '{"images": [], "annotations": [{"id": 1, ' + old + '"bbox": [5, 5, 10, 20]}]}'
    out = written(save(tmp_path, text), lambda row: Edit(area=120, force_area=force))
    area = json.loads(out)["annotations"][0]["area"]
    assert area == (120 if changed else 150.5)


def test_writing_twice_and_removing_the_provenance_gives_back_the_input(tmp_path: Path) -> None:
    path = save(tmp_path, ODD)
    once = written(path, lambda row: Edit(provenance={"n": 1}))
    assert once.count(b'"openseed_label"') == 3
    path.write_bytes(once)
    twice = written(path, lambda row: Edit(provenance={"n": 2}))
    assert twice == once.replace(b'{"n": 1}', b'{"n": 2}').replace(b'{"n":1}', b'{"n":2}')
    path.write_bytes(twice)
    assert written(path, lambda row: Edit(provenance={})) == ODD


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"openseed_label": 1}', '{"area": 3}'),
        ('{"openseed_label": 1, "openseed_label": 2 }', '{"area": 3 }'),
        ('{"openseed_label": 1, "a": 2}', '{"a": 2, "area": 3}'),
        ('{ "a": 1 , "openseed_label": 2}', '{ "a": 1 , "area": 3}'),
        ('{"a":1,"openseed_label":2,"b":3}', '{"a":1,"b":3,"area":3}'),
        ("{ }", '{"area": 3 }'),
    ],
)
def test_the_provenance_goes_together_with_one_comma_while_others_come(old: str, new: str) -> None:
    assert edited(old.encode(), Edit(area=3, provenance={})).decode() == new


names = st.sampled_from(["id", "image_id", "category_id", "bbox", "area", "segmentation", "iscrowd", "score", "name"])
number = st.integers(-2, 3) | st.floats()
field = value | number | st.lists(number, max_size=5) | st.lists(st.lists(number, max_size=10), max_size=2)
record = value | st.dictionaries(names | st.sampled_from(["file_name", "width", "height", "counts", "size"]), field)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({key: st.lists(record, max_size=5) for key in ("images", "annotations", "categories")}))
def test_any_json_in_the_lists_can_be_read_and_comes_back(tmp_path: Path, content: dict[str, Any]) -> None:
    path = save(tmp_path, content)
    with CocoDocument.open(path) as document:
        found = [document.annotations(row) for row in range(len(document.images))]
        rows = sorted(row for annotations in found for row in annotations.rows.tolist())
        assert len(set(rows)) == len(rows) <= document.annotation_count == len(content["annotations"])
        assert len({image.key for image in document.images}) == len(content["images"])
        "\n".join(document.problems).encode()  # can be printed, whatever stands in the ids
        for row in range(document.annotation_count):
            document.raw_annotation(row)
    assert written(path, lambda row: None) == path.read_bytes()


def test_has_mask_is_false_for_absent_empty_and_box_shaped_segmentations(tmp_path: Path) -> None:
    segmentations = [None, [], [[]], {}, [[1, 2, 4, 2, 4, 6, 1, 6]], RING, {"size": [4, 4], "counts": [3, 3, 10]}]
    rows = [{"id": n, "image_id": 1, "bbox": [1, 2, 3, 4], "segmentation": s} for n, s in enumerate(segmentations)]
    document = CocoDocument.open(save(tmp_path, {"images": [{"id": 1, "file_name": "a"}], "annotations": rows}))
    assert document.annotations(0).has_mask.tolist() == [False] * 5 + [True] * 2


@pytest.mark.parametrize(
    "box", [None, [], [1, 2, 3], "1,2,3,4", {"x": 1}, [1, 2, 3, "4"], [1, 2, 3, None], [10**400, 1, 1, 1]]
)
def test_bad_boxes_are_not_finite_rather_than_an_error(tmp_path: Path, box: Any) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a"}],
        "annotations": [{"id": 1, "image_id": 1, "bbox": box}, {"image_id": 1}],
    }
    found = CocoDocument.open(save(tmp_path, content)).annotations(0)
    assert not np.isfinite(found.xywh).all(axis=1).any()
    assert found.keys == ("1", "null")


def test_what_is_odd_is_reported_and_the_rest_works(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}, {"file_name": "c"}, 5, {"id": 2}],
        "annotations": [
            {"id": 1, "image_id": 1},
            {"id": 1, "image_id": "1"},
            {"image_id": None},
            None,
            {"id": "x"},
            {"id": "x"},
        ],
        "categories": [{"id": 3, "name": "a"}, {"id": 3}],
    }
    with CocoDocument.open(save(tmp_path, content)) as document:
        keys = [image.key for image in document.images]
        assert keys == ["1#0", "1", "#2", "#3", "2"]
        assert len(document.annotations(0)) == 0
        assert document.annotations(1).rows.tolist() == [0]
        report = "\n".join(document.problems)
        assert document.raw_annotation(3) == {}
    for part in (
        "1 image ids used twice (annotations go to the last image): 1",
        "2 images without id: image 2, image 3",
        "2 images without a usable file_name: image 3, image 4",
        "1 images that are no objects: image 3",
        "1 annotations that are no objects: annotation 3",
        "5 annotations whose image_id belongs to no image: annotation 1 (image_id '1'), annotation 2 (image_id None)",
        '2 annotation ids used twice: 1, "x"',
        "2 annotations without id: annotation 2, annotation 3",
        "1 category ids used twice",
        "1 categories without a usable name: category 1",
    ):
        assert part in report
    out = written(tmp_path / "in.json", lambda row: Edit(area=3))
    assert json.loads(out)["annotations"][3] is None


def test_a_list_that_stands_twice_counts_once(tmp_path: Path) -> None:
    text = '{"images": [{"id": 9}], "annotations": [{"id": 1, "image_id": 1}, {"id": 2, "image_id": 1}],'
    text += ' "annotations": [{"id": 5, "image_id": 1}], "images": [{"id": 1, "file_name": "a"}]}'
    path = save(tmp_path, text)
    with CocoDocument.open(path) as document:
        assert document.annotations(0).keys == ("5",)
        assert "2 keys that stand twice in the file (the last one counts): annotations, images" in document.problems
    assert (
        written(path, lambda row: Edit(area=3))
        == text.replace('"id": 5, "image_id": 1', '"id": 5, "image_id": 1, "area": 3').encode()
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": []}', r'in.json: the top-level object has no "annotations" list.*Add "annotations"'),
        ('{"annotations": []}', 'in.json: the top-level object has no "images" list'),
        ('{"annotations": [],\n "images": {}}', "in.json: line 2, column 12: images is no list; write a list"),
        ('{"annotations": [],\n "images": [{"id": }]}', "in.json: line 2, column 20: Expecting value; repair the file"),
        ('{"annotations": [{"id": 1', "in.json: line 1, column 26: the file ends too early"),
        ('[{"image_id": 1}]', "in.json: line 1: a list stands.*--images-json"),
        ("", "in.json: line 1, column 1: the file is empty"),
    ],
)
def test_unusable_files_name_file_place_and_remedy(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(CocoError, match=message):
        CocoDocument.open(save(tmp_path, content))


def test_a_missing_file_is_a_coco_error(tmp_path: Path) -> None:
    with pytest.raises(CocoError, match=r"none\.json: can't be opened .*check the path"):
        CocoDocument.open(tmp_path / "none.json")


def test_in_place_writing_goes_through_the_open_document(tmp_path: Path) -> None:
    path = save(tmp_path, ODD)
    with CocoDocument.open(path) as document:
        document.write(path, lambda row: Edit(area=1, force_area=True))
        assert document.segmentation(2) == RING
    assert len(json.loads(path.read_bytes())["annotations"]) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["in.json"]


def test_an_input_that_changes_meanwhile_is_noticed_and_no_output_appears(tmp_path: Path) -> None:
    path = save(tmp_path, ODD)
    with CocoDocument.open(path) as document:
        with path.open("ab") as file:
            file.write(b"  ")
        with pytest.raises(CocoError, match="was changed while"):
            document.write(tmp_path / "out.json", lambda row: None)
    assert [p.name for p in tmp_path.iterdir()] == ["in.json"]


def test_an_error_in_the_edit_leaves_the_old_output(tmp_path: Path) -> None:
    path, out = save(tmp_path, ODD), save(tmp_path, "old", "out.json")

    def edit(row: int) -> Edit:
        if row == 2:
            raise KeyboardInterrupt
        return Edit(area=math.pi)

    with CocoDocument.open(path) as document, pytest.raises(KeyboardInterrupt):
        document.write(out, edit)
    assert out.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.json", "out.json"]


def test_fifty_thousand_annotations_are_never_python_objects_at_once(tmp_path: Path) -> None:
    count = 50_000
    path = tmp_path / "big.json"
    with path.open("w") as file:
        file.write('{"annotations": [')
        for n in range(count):
            row = {
                "id": n,
                "image_id": n // 50,
                "category_id": 0,
                "bbox": [n % 300, 2, 30, 40],
                "segmentation": [[0.5 * n, 1, 2, 3, 4, 5]],
            }
            file.write(", " * (n > 0) + json.dumps(row))
        file.write('], "images": [' + ", ".join(json.dumps({"id": n, "file_name": "a"}) for n in range(1000)))
        file.write('], "categories": [{"id": 0, "name": "a"}]}')
    tracemalloc.start()
    try:
        with CocoDocument.open(path) as document:
            document.write(tmp_path / "out.json", lambda row: Edit(area=5) if row % 1000 == 0 else None)
            assert [document.annotations(n).rows[0] for n in (0, 999)] == [0, 49_950]
            assert document.problems == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # Buffers of some MB and 110 bytes a row; as Python objects a row takes more than 1000 bytes.
    assert peak < 16e6 + 150 * count


def test_every_part_can_be_had_as_it_is_written(tmp_path: Path) -> None:
    with CocoDocument.open(save(tmp_path, ODD)) as document:
        assert [(key, text is None) for key, text in document.top_level()] == [
            ("info", False),
            ("x-unknown", False),
            ("annotations", True),
            ("licenses", False),
            ("images", True),
            ("categories", True),
        ]
        assert dict(document.top_level())["x-unknown"] == '[1.0, {"deep": [NaN, -Infinity]}]'
        assert document.image_text(1) == '{"id":"café","file_name":"b.jpg"}'
        assert document.category_text(1) == '{"id":1,"name":"b"}'
        assert document.annotation_text(0) == ODD[ODD.index(b'{"id": "a-1"') : ODD.index(b",\n   {")].decode()
        assert document.orphans().tolist() == []
        assert document.has_ids


def test_of_lists_that_stand_twice_the_last_elements_are_given(tmp_path: Path) -> None:
    text = (
        '{"images": [{"id": 1}, {"id": 2}], "categories": [{"id": 1}], "images": [{"id": 3}], '
        '"annotations": [7, {"image_id": 1}, {"image_id": 3}], "categories": [{"id": 4}]}'
    )
    with CocoDocument.open(save(tmp_path, text)) as document:
        assert document.image_text(0) == '{"id": 3}'
        assert document.category_text(0) == '{"id": 4}'
        assert document.orphans().tolist() == [0, 1]
        assert [key for key, _ in document.top_level()] == ["images", "categories", "annotations"]


def test_an_edit_may_set_any_other_key() -> None:
    raw = b'{"id": 1, "category_id": 3, "note": "x"}'
    assert edited(raw, Edit(values={"category_id": "a", "image_id": 9})) == (
        b'{"id": 1, "category_id": "a", "note": "x", "image_id": 9}'
    )
