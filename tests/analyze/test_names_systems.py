"""Rows with other texts, for models that read words, captions or objects."""

import numpy as np
import pytest
import tiny_systems

from ifa_jax.analyze.names import predict
from ifa_jax.analyze.names.predict import Run
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.training import evaluation
from ifa_jax.workdir.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("fast_compilation")

NAMES = ("pcnn", "caption", "ifaformer_caption", "vilbert")


@pytest.fixture(scope="module", name="scenes_dir")
def scenes_of_the_dataset(data_dir, tmp_path_factory):
  folder = tmp_path_factory.mktemp("names") / "scenes"
  tiny_systems.write_scenes(folder, data_dir)
  return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_text_moves_with_the_row_of_its_picture(name, data_dir, scenes_dir):
  """Each row gets another's text: that row with this row's pictures."""
  scenes = scenes_dir if name == "vilbert" else None
  built = tiny_systems.build(name, data_dir, scenes, caption_len=24)
  params = tiny_systems.params(built)
  split = built.data.split("test")
  rows = np.arange(len(split))
  texts = predict.read_texts(split)
  folder = f"{built.prepared.folder}/tokenizer"
  wanted = evaluation.Evaluator(built).predict(params, split, rows[::-1])
  run = Run(built, params, texts, wanted, Tokenizer.load(folder))
  # Row i of the split, with the text of row n - 1 - i.
  given = [predict.rewritten(run, text) for text in texts[::-1]]
  moved = [
    own._replace(words=x.words, head=x.head, tail=x.tail, encoded=x.encoded)
    for own, x in zip(texts, given, strict=True)
  ]
  found = predict.predict(run, rows, moved).probabilities[::-1]
  np.testing.assert_allclose(found, wanted.probabilities, atol=2e-5)
  # Other pictures of the same texts matter, if the model sees any.
  own = evaluation.Evaluator(built).predict(params, split).probabilities
  assert (np.abs(found - own).max() > 1e-3) == (name != "pcnn")


def test_a_model_that_needs_a_parse_is_refused(data_dir, scenes_dir, tmp_path):
  built = tiny_systems.build("mega", data_dir, scenes_dir)
  with pytest.raises(ValueError, match=r"model.system: .* got mega"):
    predict.open_run(built, RunFolder(tmp_path))
