"""Any bytes as arrays of others: scenes, safetensors, word vectors."""

import collections
import hashlib
import json

import fuzzing
import numpy as np
import safetensors.numpy
import scene_trees
from hypothesis import strategies as st

from ifa_jax.convert import sources
from ifa_jax.data.scenes import store
from ifa_jax.data.text import vocabulary as words
from ifa_jax.data.text.row_text import RowText


def test_any_archive_of_scenes_is_read_or_refused(tmp_path, thorough):
  """The manifest agrees with the damaged file, as a stranger's would."""
  rng = np.random.default_rng(0)
  pictures = {"a.jpg": scene_trees.scene(rng), "b.jpg": scene_trees.scene(rng)}
  scene_trees.write(tmp_path, pictures, {"test/1": [1, -1]})
  path, manifest_path = tmp_path / "test.npz", tmp_path / "test.json"
  sound, manifest = path.read_bytes(), json.loads(manifest_path.read_text())
  found = collections.Counter()

  def body(content, changed):
    path.write_bytes(content)
    if isinstance(changed, dict) and "sha256" in changed:
      changed = {**changed, "sha256": hashlib.sha256(content).hexdigest()}
    manifest_path.write_text(json.dumps(changed))
    read = lambda: store.read_split(tmp_path, "test")  # noqa: E731
    found[type(fuzzing.read(read, tmp_path, "test."))] += 1

  manifests = st.one_of(st.just(manifest), fuzzing.altered(manifest))
  damaged = st.one_of(fuzzing.damaged(sound), st.binary(max_size=99))
  fuzzing.check(body, damaged, st.just(manifest), thorough=thorough, few=100)
  fuzzing.check(body, st.just(sound), manifests, thorough=thorough, few=100)
  assert found[ValueError] > 5
  assert found[store.Scenes] > 5


def test_any_safetensors_are_read_or_refused(tmp_path, thorough):
  path = tmp_path / "model.safetensors"
  safetensors.numpy.save_file({"x": np.ones((2, 3), np.float32)}, path)
  sound = path.read_bytes()
  header = json.loads(sound[8:].split(b"}}")[0] + b"}}")

  def framed(value):
    text = json.dumps(value).encode()
    return len(text).to_bytes(8, "little") + text + bytes(24)

  def body(content):
    path.write_bytes(content)
    read = lambda: sources.read_weights(str(path))  # noqa: E731
    fuzzing.read(read, tmp_path, "model.safetensors")

  assert list(sources.read_weights(str(path))) == ["x"]
  contents = st.one_of(
    st.binary(max_size=99),
    fuzzing.damaged(sound),
    fuzzing.altered(header).map(framed),
  )
  fuzzing.check(body, contents, thorough=thorough, few=200)


def test_any_word_vectors_are_read_or_refused(tmp_path, thorough):
  path = tmp_path / "glove.txt"
  sound = b"the 1 2\nann -0.5 3e-1\n"

  def body(content):
    path.write_bytes(content)
    read = lambda: words.read_vectors(path)  # noqa: E731
    found = fuzzing.read(read, tmp_path, "glove.txt")
    if not isinstance(found, Exception):
      assert np.isfinite(found.table).all()
      assert len(found.words) == len(found.table)

  contents = st.one_of(st.binary(max_size=99), fuzzing.damaged(sound))
  extremes = st.sampled_from([b"a nan 1\n", b"a 1e999 1\n", b"a 1\xff 2\n"])
  fuzzing.check(body, st.one_of(contents, extremes), thorough=thorough, few=100)


def test_any_words_keep_their_ids_in_a_file(tmp_path, thorough):
  """A word of two lines would shift all ids after it."""
  path = tmp_path / "words.txt"

  def body(listed):
    text = RowText("", "", listed, (0, 1), (0, 1), {}, None)
    vocabulary = words.Vocabulary.of_texts([text])
    path.write_text(vocabulary.lines(), encoding="utf-8")
    again = words.Vocabulary.load(path)
    assert again.encode(listed) == vocabulary.encode(listed)

  odd = st.sampled_from(["a\nb", "\r", "a\r\nb", "\u2028", "\x0b", "", " "])
  plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
  listed = st.lists(st.one_of(odd, plain), min_size=1, max_size=9)
  fuzzing.check(body, listed, thorough=thorough, few=100)
