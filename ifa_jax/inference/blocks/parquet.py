"""Blocks of Parquet files. A place is (row,).

A column is a key of posts; null is a key that is not there. Records have the
columns of their posts, except bytes, and those of the answer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from ifa_jax.inference import questions, records

_PROBABILITIES = pa.map_(pa.string(), pa.float64())
_ANSWER = {
  "head": pa.string(),
  "tail": pa.string(),
  "relation": pa.string(),
  "probability": pa.float64(),
  "probabilities": _PROBABILITIES,
  "protocol": pa.string(),
  "error": pa.string(),
}
_RELATIONS = pa.list_(
  pa.struct(
    {
      "head": pa.int64(),
      "tail": pa.int64(),
      "relation": pa.string(),
      "probability": pa.float64(),
      "probabilities": _PROBABILITIES,
    }
  )
)
_ROWS = 1024


def places(path: str) -> Iterator[tuple[tuple[int], int]]:
  """Yields the place of each post and the number of its questions."""
  with _open(path) as file:
    schema = file.schema_arrow
    if "entities" not in schema.names:
      yield from (((row,), 1) for row in range(file.metadata.num_rows))
      return
    columns = [f.name for f in schema if not _is_bytes(f.type)]
    for row, post in enumerate(_posts(file, columns=columns)):
      yield (row,), questions.count(post)


def read(path: str, place: Sequence[int]) -> Iterator[dict[str, Any]]:
  """Yields the posts from a place on."""
  (row,) = place
  with _open(path) as file:
    first = 0
    while row and row >= (num := file.metadata.row_group(first).num_rows):
      first, row = first + 1, row - num
    groups = range(first, file.num_row_groups)
    for number, post in enumerate(_posts(file, row_groups=groups)):
      if number >= row:
        yield post


def write(path: str, found: Iterable[Mapping[str, Any]], source: str) -> None:
  """Writes the records of posts of the file `source`."""
  with _open(source) as file:
    schema = _schema(file.schema_arrow)
  rows = [_row(record) for record in found]
  try:
    parquet.write_table(pa.Table.from_pylist(rows, schema), path)
  except pa.ArrowException as error:
    reason = str(error).partition("\n")[0]
    raise ValueError(f"{source}: expected columns of posts: {reason}") from None


def _open(path: str) -> parquet.ParquetFile:
  try:
    return parquet.ParquetFile(path)
  except pa.ArrowInvalid as error:
    reason = str(error).partition("\n")[0]
    raise ValueError(f"{path}: expected a Parquet file: {reason}") from None


def _posts(file: parquet.ParquetFile, **chosen: Any) -> Iterator[dict]:
  for batch in file.iter_batches(_ROWS, **chosen):
    yield from map(_without_nulls, batch.to_pylist())


def _without_nulls(value: Any) -> Any:
  if isinstance(value, dict):
    return {k: _without_nulls(v) for k, v in value.items() if v is not None}
  return [*map(_without_nulls, value)] if isinstance(value, list) else value


def _schema(source: pa.Schema) -> pa.Schema:
  """Returns the columns of the records of posts, the same for all blocks."""
  own = {f.name: f.type for f in source if not _is_bytes(f.type)}
  answer = dict(_ANSWER)
  if "entities" in own:
    own["entities"] = _named(own["entities"])
    answer["relations"] = _RELATIONS
  moved = {k: own[k] for k in (*answer, records.GIVEN) if k in own}
  # An invalid post keeps its own head and tail.
  for name in ("head", "tail"):
    answer[name] = moved.pop(name, answer[name])
  if moved:
    answer[records.GIVEN] = pa.struct(moved)
  return pa.schema(own | answer)


def _is_bytes(kind: pa.DataType) -> bool:
  return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _named(entities: pa.DataType) -> pa.DataType:
  """Adds the field "name" to the type of a list of entities."""
  if not pa.types.is_list(entities):
    return entities
  fields = {f.name: f.type for f in entities.value_type}
  return pa.list_(pa.struct({"name": pa.string()} | fields))


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a record with its probabilities as Arrow takes a map."""
  row = _with_pairs(record)
  if isinstance(row.get("relations"), list):
    row["relations"] = [*map(_with_pairs, row["relations"])]
  return row


def _with_pairs(record: Mapping[str, Any]) -> dict[str, Any]:
  row = dict(record)
  if isinstance(row.get("probabilities"), Mapping):
    row["probabilities"] = [*row["probabilities"].items()]
  return row
