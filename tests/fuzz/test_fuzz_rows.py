"""Any bytes as MNRE's text: well-formed rows, or one line."""

import fuzzing
import pytest
import raw_tree
from hypothesis import strategies as st

from ifa_jax.data.mnre import notation
from ifa_jax.data.mnre import tree as raw

ROW = raw_tree.row()
SOUND = b"".join(repr(row).encode() + b"\n" for row in (ROW, ROW, ROW))
# Each asks more of Python's parser the longer it is.
DEEP = ["(", "[", "{1:", "-", "~", "1+", "a.", "a[", "x()", "1**", "f'{", "1<"]
DEEP += ["1 if 1 else ", "lambda:", "not ", "[1,", "'a' ", "await ", "(yield "]


def literals():
  """Lines of a row with a part that is something else."""
  values = st.one_of(fuzzing.altered(ROW), fuzzing.plain_values())
  return values.map(lambda value: repr(value).encode())


def read_all(folder, content, relations):
  """Returns the rows of a file, after looking at each of them."""
  path = folder / "txt" / "ours_train.txt"
  path.parent.mkdir(exist_ok=True)
  path.write_bytes(content)
  errors = []

  def rows():
    return list(
      raw.read_rows(str(folder), "train", relations, None, errors.append)
    )

  found = fuzzing.read(rows, folder, "ours_train.txt")
  for error in errors:
    assert str(error).startswith("ours_train.txt:"), error
    assert len(str(error)) < 400
    assert len(str(error).splitlines()) == 1
  return [] if isinstance(found, Exception) else found


def check_row(row):
  fuzzing.check_row(row)
  assert row.img_id


@pytest.mark.parametrize("relations", [list(raw_tree.RELATIONS), None])
def test_any_bytes_are_rows_or_errors(tmp_path, thorough, relations):
  num_read = []

  def body(content):
    rows = read_all(tmp_path, content, relations)
    num_read.append(len(rows))
    for row in rows:
      check_row(row)

  contents = st.one_of(
    st.binary(max_size=200), fuzzing.damaged(SOUND), literals()
  )
  fuzzing.check(body, contents, thorough=thorough, few=150)
  # Neither all sound nor all damaged.
  assert 0 in num_read
  assert max(num_read) > 1


@pytest.mark.parametrize("part", DEEP)
def test_deep_nesting_is_one_line(tmp_path, thorough, part):
  length = notation.MAX_BYTES if thorough else 20_000
  content = (part * length)[:length].encode()
  assert read_all(tmp_path, content, None) == []


def test_numbers_that_python_does_not_write_are_errors(tmp_path):
  huge = "0x" + "f" * 9000
  for row in (
    repr({**ROW, "img_id": "HUGE"}),
    repr({**ROW, "h": {"name": "Bill", "pos": ["HUGE", 2]}}),
    repr({**ROW, "token": ["HUGE"]}),
    repr({"HUGE": 1}),
  ):
    line = row.replace("'HUGE'", huge).encode()
    assert read_all(tmp_path, line, None) == []


def test_any_list_of_relations_is_names_or_an_error(tmp_path, thorough):
  ids = {name: i for i, name in enumerate(raw_tree.RELATIONS)}

  tree = raw_tree.write_tree(tmp_path, [ROW])

  def body(content):
    (tmp_path / "ours_rel2id.json").write_bytes(content)
    reader = lambda: raw.read_relations(tree)  # noqa: E731
    found = fuzzing.read(reader, tmp_path, "ours_rel2id.json")
    if not isinstance(found, Exception):
      assert len({*found}) == len(found)
      assert all(name.isprintable() for name in found)

  fuzzing.check(body, fuzzing.json_texts(ids), thorough=thorough, few=100)
