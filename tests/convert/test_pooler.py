"""BERT's pooler in converted weights."""

import hf_models
import numpy as np
import pytest
import tiny
from safetensors.numpy import load_file

from ifa_jax.convert import from_huggingface, load_converted, save_converted
from ifa_jax.convert.huggingface import conversion
from ifa_jax.convert.huggingface.encoder_weights import read_stream

pytestmark = pytest.mark.slow


@pytest.fixture
def text(folders):
  return folders["BertModel"]


def pooler(width, rows=None):
  """Returns random parameters of a pooler."""
  draw = np.random.default_rng(0).normal
  shape = (rows or width, width)
  return {
    "kernel": draw(size=shape).astype(np.float32),
    "bias": draw(size=width).astype(np.float32),
  }


def test_a_conversion_keeps_the_pooler(text):
  kept = conversion.convert(text)
  weights = load_file(f"{text}/model.safetensors")
  np.testing.assert_array_equal(
    kept.params["pooler"]["kernel"], weights["pooler.dense.weight"].T
  )
  np.testing.assert_array_equal(
    kept.params["pooler"]["bias"], weights["pooler.dense.bias"]
  )
  assert not kept.info["dropped"]["text"]


def test_a_model_has_no_pooler(text, folders):
  plain = conversion.convert(folders["BertForMaskedLM"])
  for params in (plain.params, from_huggingface(text)[1]):
    assert set(params) == {"text", "visual", "relation_head"}


def test_half_a_pooler_is_refused(text, tmp_path):
  for name, message in (
    ("weight", "pooler/bias: the model has no such parameter"),
    ("bias", "pooler/bias: expected .24,., got nothing"),
  ):
    folder = hf_models.copy(text, tmp_path / name)
    hf_models.change_weights(folder, lambda w: w.pop(f"pooler.dense.{name}"))  # noqa: B023
    with pytest.raises(ValueError, match=message):
      read_stream(folder, "text")


def test_a_pooler_of_zeros_is_dropped(text, tmp_path):
  folder = hf_models.copy(text, tmp_path / "bert")
  hf_models.change_weights(
    folder,
    lambda w: w.update(
      {name: np.zeros_like(w[name]) for name in w if "pooler" in name}
    ),
  )
  stream = read_stream(folder, "text")
  assert not [path for path in stream.params if "pooler" in path]
  ((reason, names),) = stream.dropped.items()
  assert reason.startswith("all 0")
  assert sorted(names) == ["pooler.dense.bias", "pooler.dense.weight"]


def test_a_folder_may_hold_a_pooler_and_nothing_else(tmp_path):
  config = tiny.tiny_config()
  params = tiny.perturbed_params(config)
  own = pooler(config.text.hidden_dim)
  save_converted(tmp_path / "kept", config, params | {"pooler": own})
  loaded = load_converted(tmp_path / "kept")[1]
  np.testing.assert_array_equal(loaded["pooler"]["kernel"], own["kernel"])
  wrong = {"pooler": pooler(16, rows=17), "poolers": pooler(16)}
  for name, tree in wrong.items():
    save_converted(tmp_path / name, config, params | {name: tree})
    with pytest.raises(ValueError, match=rf"{name}/kernel: expected .*got"):
      load_converted(tmp_path / name)
  del own["bias"]
  save_converted(tmp_path / "half", config, params | {"pooler": own})
  with pytest.raises(ValueError, match=r"pooler/bias: .* .16,., got None"):
    load_converted(tmp_path / "half")
