"""Any bytes as a `.pth` file: a value or one line; no code is run."""

import collections
import io
import math
import os
import pickle
import zipfile

import fuzzing
import pytest
from hypothesis import strategies as st

from ifa_jax.files import torch_file

NAMES = {
  0: ["a.jpg", "b.jpg"],
  7: [],
  "c": (1, None, 2.5, True, -(2**70)),
}


def archive(pickled, storages=(), compression=zipfile.ZIP_STORED):
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w", compression) as members:
    members.writestr("archive/data.pkl", pickled)
    for key, raw in storages:
      members.writestr(f"archive/data/{key}", raw)
  return file.getvalue()


def load(folder, content):
  path = folder / "a.pth"
  path.write_bytes(content)
  return fuzzing.read(lambda: torch_file.load(path), folder, "a.pth: ")


def test_any_bytes_are_read_or_refused(tmp_path, thorough):
  found = collections.Counter()

  def body(content):
    found[type(load(tmp_path, content))] += 1

  contents = st.one_of(
    st.binary(max_size=300),
    fuzzing.damaged(rebuilt((2,), (1,))),
    fuzzing.damaged(archive(pickle.dumps(NAMES, 2))),
    fuzzing.damaged(pickle.dumps(NAMES, 2)).map(archive),
  )
  fuzzing.check(body, contents, thorough=thorough, few=200)
  assert found.total() - found[ValueError] > 5
  assert found[ValueError] > 50


def opcodes():
  """Pickles of sound opcodes in any order."""
  plain = b"(N).0123]})aesu}\x85\x86\x87\x88\x89\x94Rb12dlotQ\x81\x92\x93"
  parts = [bytes([code]) for code in plain]
  parts += [
    b"K\x01",
    b"X\x01\0\0\0a",
    b"\x8c\x01a",
    b"q\0",
    b"h\0",
    b"r\0\0\0\1",
  ]
  parts += [b"ccollections\nOrderedDict\n", b"ctorch\nFloatStorage\n"]
  parts += [b"cos\nsystem\n", b"ctorch._utils\n_rebuild_tensor_v2\n"]
  parts += [b"X\x04\0\0\0exit\x85R", b"cbuiltins\neval\n", b"iposix\nsystem\n"]
  return st.lists(st.sampled_from(parts), max_size=30).map(
    lambda chosen: archive(b"\x80\x02" + b"".join(chosen) + b".")
  )


def test_any_opcodes_are_read_or_refused(tmp_path, thorough):
  def body(content):
    load(tmp_path, content)

  fuzzing.check(body, opcodes(), thorough=thorough, few=300)


def plain_containers():
  keys = st.one_of(st.text(max_size=5), st.integers(), st.none(), st.binary())
  leaves = st.one_of(keys, st.booleans(), st.floats(allow_nan=False))
  return st.recursive(
    leaves,
    lambda inner: st.one_of(
      st.lists(inner, max_size=5),
      st.tuples(inner, inner),
      st.dictionaries(keys, inner, max_size=5),
    ),
    max_leaves=20,
  )


def test_plain_containers_round_trip(tmp_path, thorough):
  def body(value, protocol):
    assert load(tmp_path, archive(pickle.dumps(value, protocol))) == value

  # Of protocol 2, bytes would be a call.
  protocols = st.integers(3, 5)
  fuzzing.check(body, plain_containers(), protocols, thorough=thorough)


def refused(folder, content):
  found = load(folder, content)
  assert isinstance(found, ValueError), found
  return str(found)


@pytest.mark.parametrize("name", ["posix.system", "builtins.exec", "os.fork"])
def test_other_names_are_refused(tmp_path, name):
  module, function = name.split(".")
  call = f"c{module}\n{function}\n(X\x04\0\0\0trueetR.".replace("ee", "e")
  message = refused(tmp_path, archive(b"\x80\x02" + call.encode()))
  assert f"containers only, got the name '{name}'" in message


def test_a_memo_index_allocates_no_table(tmp_path):
  # Python's unpickler would fill 64 GB with this.
  assert load(tmp_path, archive(b"\x80\x02}r\xff\xff\xff\x7f.")) == {}


def test_tuples_in_tuples_are_no_keys(tmp_path):
  # Their hash would overflow the stack and end the process.
  deep = b"\x80\x02})" + b"\x85" * 200_000 + b"Ns."
  assert "plain keys of a dict, got a tuple" in refused(tmp_path, archive(deep))


def test_lists_that_share_parts_are_shown_in_one_line(tmp_path):
  value = ["x"]
  for _ in range(60):
    value = [value, value]
  found = load(tmp_path, archive(pickle.dumps({0: value}, 2)))
  assert list(found) == [0]


def test_attributes_are_not_set(tmp_path):
  begin = b"\x80\x02ccollections\nOrderedDict\n"
  state = b"}X\x05\0\0\0itemsK\x05sb."
  assert list(load(tmp_path, archive(begin + b")R" + state)).items()) == []
  load(tmp_path, archive(begin + b"N" + state[:-2] + b"\x86b."))
  assert load(tmp_path, archive(begin + b")R.")) == {}


def rebuilt(size, stride):
  """A tensor of a storage of two floats."""
  storage = b"((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000"
  storage += b"X\x03\0\0\0cpuK\x02tQ"
  tensor = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + storage + b"K\0"
  for numbers in (size, stride):
    tensor += b"(" + b"".join(pickle.dumps(n, 2)[2:-1] for n in numbers) + b"t"
  tensor += b"\x89ccollections\nOrderedDict\n)RtR."
  return archive(tensor, [("0", bytes(8))])


def test_a_small_file_holds_no_large_tensor(tmp_path):
  assert load(tmp_path, rebuilt((2,), (1,))).shape == (2,)
  assert load(tmp_path, rebuilt((5, 2), (0, 1))).shape == (5, 2)
  for size in ((10**12,), (2**40, 2**40), (10**30,)):
    message = refused(tmp_path, rebuilt(size, (0,) * len(size)))
    assert "repeats its storage of 2 elements" in message


def test_any_shape_is_a_view_of_its_storage_or_refused(tmp_path, thorough):
  numbers = st.one_of(st.integers(-2, 4), st.sampled_from((2**62, -(2**70))))

  def body(size, stride):
    found = load(tmp_path, rebuilt(size, stride))
    if not isinstance(found, Exception):
      assert found.shape == tuple(size)
      assert math.prod(size) == 0 or not found.any()

  shapes = st.lists(numbers, max_size=4)
  fuzzing.check(body, shapes, shapes, thorough=thorough, few=200)


def test_members_that_unpack_to_more_than_the_file_are_refused(tmp_path):
  bomb = archive(b"N.", [("0", bytes(10**7))], zipfile.ZIP_DEFLATED)
  assert len(bomb) < 10**5
  assert "unpack to" in refused(tmp_path, bomb)


def test_nothing_is_unpacked(tmp_path):
  folder = tmp_path / "inside"
  folder.mkdir()
  load(folder, archive(b"N.", [("../../../evil", b"x")]))
  assert os.listdir(folder) == ["a.pth"]
  assert os.listdir(tmp_path) == ["inside"]
