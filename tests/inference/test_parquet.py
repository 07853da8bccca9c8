"""Posts and records in Parquet, with the same columns in each block."""

import pyarrow as pa
import pytest
from pyarrow import parquet

from ifa_jax.inference import records
from ifa_jax.inference.blocks import parquet as blocks

RELATIONS = ("None", "/per/org/member_of")
POSTS = [
  {"id": i, "text": f"Ann joins Acme {i}", "head": "Ann", "tail": "Acme"}
  for i in range(7)
]


def write(path, posts, **options):
  names = dict.fromkeys(key for post in posts for key in post)
  table = pa.table({k: [post.get(k) for post in posts] for k in names})
  parquet.write_table(table, path, **options)
  return str(path)


def test_posts_are_read_from_any_row_on_without_nulls(tmp_path):
  posts = [POSTS[0] | {"image": b"\xff\xd8"}, *POSTS[1:]]
  path = write(tmp_path / "posts.parquet", posts, row_group_size=3)
  places = [*blocks.places(path)]
  assert [questions for _, questions in places] == [1] * 7
  for i, (place, _) in enumerate(places):
    assert [*blocks.read(path, place)] == posts[i:]


def test_questions_about_all_pairs_are_counted(tmp_path):
  people = [{"start": 0, "end": 3}, {"start": 10, "end": 14, "type": "org"}]
  posts = [POSTS[0], {"text": "Ann joins Acme", "entities": people}]
  path = write(tmp_path / "posts.parquet", posts)
  assert [*blocks.places(path)] == [((0,), 1), ((1,), 2)]
  # A type that only the other entity has is not None.
  assert [*blocks.read(path, (1,))] == posts[1:]


def test_records_of_all_blocks_have_the_columns_of_the_posts(tmp_path):
  posts = [x | {"relation": "friend", "image": b"\xff"} for x in POSTS[:2]]
  people = [{"start": 0, "end": 3}, {"start": 10, "end": 14}]
  posts.append({"text": "Ann joins Acme", "entities": people})
  source = write(tmp_path / "posts.parquet", posts)
  found = [{"head": 0, "tail": 1, "relation": RELATIONS[1]}]
  found[0] |= {"probability": 0.75, "probabilities": {RELATIONS[1]: 0.75}}
  made = [
    records.answered(
      posts[0],
      ("Ann", "Acme"),
      pa.array([0.25, 0.75]).to_numpy(),
      RELATIONS,
      "clean",
    ),
    records.failed(posts[1], "text: expected"),
    records.answered_pairs(posts[2], ("Ann", "Acme"), found, "clean"),
  ]
  tables = []
  for record in made:
    path = tmp_path / "records.parquet"
    blocks.write(str(path), [record], source)
    tables.append(parquet.read_table(path, partitioning=None))
  assert len({str(table.schema) for table in tables}) == 1
  assert "image" not in tables[0].column_names
  rows = [table.to_pylist(maps_as_pydicts="strict")[0] for table in tables]
  for row, record in zip(rows, made, strict=True):
    assert blocks._without_nulls(row) == record


@pytest.mark.silent_input
def test_a_file_that_is_not_parquet_is_one_line(tmp_path):
  path = tmp_path / "posts.parquet"
  path.write_text("{}")
  with pytest.raises(ValueError, match=r"posts\.parquet: expected a Parquet"):
    next(blocks.places(str(path)))


def test_a_column_that_no_record_fits_is_one_line(tmp_path):
  posts = [{"text": "Ann", "relation": 5, "entities": [{"start": 0, "end": 3}]}]
  source = write(tmp_path / "posts.parquet", posts)
  record = records.answered_pairs(posts[0], ("Ann",), [], "clean")
  with pytest.raises(ValueError, match="expected columns of posts"):
    blocks.write(str(tmp_path / "records.parquet"), [record], source)
