"""The same config, seed and machine give the same bits and datasets."""

import io
import pathlib

import pytest
import tiny_run
import whole_run
from PIL import Image

from ifa_jax.preparation.mnre import prepare
from ifa_jax.training import loop

pytestmark = pytest.mark.usefixtures("fast_compilation")


@pytest.fixture(scope="module", name="again")
def dataset_prepared_again(raw_dir, tmp_path_factory):
  """The session's dataset, prepared elsewhere and by two processes."""
  folder = tmp_path_factory.mktemp("again") / "data"
  settings = tiny_run.dataset_settings(raw_dir, folder, num_workers=2)
  prepare.prepare(settings)
  return folder


def test_a_dataset_is_the_same_bytes_however_many_prepare_it(data_dir, again):
  wanted, found = (
    {
      path.relative_to(folder): path.read_bytes()
      for path in pathlib.Path(folder).rglob("*")
      if path.is_file()
    }
    for folder in (data_dir, again)
  )
  assert found.keys() == wanted.keys()
  differing = [str(name) for name in wanted if found[name] != wanted[name]]
  assert differing == []


def test_a_run_is_the_same_bits_wherever_it_is(finished, again, tmp_path):
  built = tiny_run.build(tiny_run.tiny_run_config(again))
  loop.run(built, str(tmp_path / "run"))
  found, wanted = map(whole_run.outcome, (tmp_path / "run", finished.workdir))
  for part, other in zip(found, wanted, strict=True):
    assert part == other


def test_a_record_has_sorted_fields_and_lossless_squares(data_dir):
  import tensorflow as tf

  shard = next(pathlib.Path(data_dir).rglob("*.tfrecord*"))
  raw = next(iter(tf.data.TFRecordDataset(str(shard)))).numpy()
  example = tf.train.Example.FromString(raw)
  assert len(example.features.feature) > 5
  # A name follows its length: "caption" is also in "caption_ids".
  places = [
    raw.index(bytes([0x0A, len(name)]) + name.encode())
    # Protobuf puts a name after those that it begins.
    for name in sorted(example.features.feature, key="{}~".format)
  ]
  assert places == sorted(places)
  (png,) = example.features.feature["image"].bytes_list.value
  assert Image.open(io.BytesIO(png)).format == "PNG"
