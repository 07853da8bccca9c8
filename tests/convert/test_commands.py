"""`python -m ifa_jax.convert`: output, messages and exit statuses."""

import os
import subprocess
import sys

import command_lines
import hf_models
import jax
import numpy as np
import pytest
import raw_tree
import reference_data
import tiny
import torch
import torch_vilbert

from ifa_jax.convert import load_converted
from ifa_jax.convert.commands import export
from ifa_jax.data.text.tokenizer import Tokenizer
from ifa_jax.models import registry
from ifa_jax.workdir.checkpoints import Checkpoints
from ifa_jax.workdir.run_folder import RunFolder
from ifa_jax.workdir.state import TrainState

pytestmark = pytest.mark.slow

REFERENCE = reference_data.FOLDER / "best_model.pth"

# Programs that run once need no optimisation.
ENVIRONMENT = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}

# In this order: later commands read the output of earlier ones.
LINES = {
  "hf": "huggingface --text=text --vision=clip --out=hf --num_relations=5",
  "hf again": "huggingface --text=text --vision=clip --out=hf",
  "hf text": "huggingface --text=text --out=alone --num_crops=1",
  "hf swapped": "huggingface --text=clip --vision=text --out=bad",
  "hf deep": "huggingface --text=text --vision=deep --out=bad",
  "hf first": "huggingface --text=text --vision=deep --out=deep_out"
  " --vision_layers=first:3 --image_size=20 --fusion=released",
  "hf none": "huggingface --out=bad",
  "hf seed": "huggingface --vision=clip --out=bad --seed=5000000000",
  "hf layers": "huggingface --text=text --out=bad --vision_layers=first:1",
  "deepke": f"deepke --checkpoint={REFERENCE} --out=deepke",
  "deepke cut": "deepke --checkpoint=cut.pth --out=bad",
  "vilbert": "vilbert --checkpoint=vilbert.bin --out=vilbert --num_heads=4"
  " --vision_heads=3 --connection_heads=5 --num_relations=6",
  "vilbert heads": "vilbert --checkpoint=vilbert.bin --out=bad",
  "vilbert away": "export --workdir=vilbert --format=huggingface --out=bad",
  "to deepke": "export --workdir=deepke --format=deepke --out=new/back.pth",
  "to deepke again": "export --workdir=deepke --format=deepke"
  " --out=new/back.pth",
  "to folder": "export --workdir=deepke --format=deepke --out=taken",
  "damaged": "export --workdir=damaged --format=huggingface --out=bad",
  "newer": "export --workdir=newer --format=huggingface --out=bad",
  "to hf": "export --workdir=hf --format=huggingface --out=exported",
  "from export": "huggingface --text=exported/text --vision=exported/vision"
  " --rest=exported/rest.safetensors --out=hf2",
  "export nothing": "export --workdir=text --format=deepke --out=bad",
  "no verb": "import --out=bad",
  "no out": "deepke --checkpoint=best_model.pth",
  "help": "hvformer --help",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Encoders, and a truncated file."""
  root = tmp_path_factory.mktemp("commands")
  raw_tree.write_tokenizer(root / "text")
  model = hf_models.make("BertModel")
  model.resize_token_embeddings(Tokenizer.load(root / "text").vocab_size - 4)
  model.save_pretrained(root / "text")
  hf_models.save(root / "clip", "CLIPModel")
  hf_models.save(root / "deep", "CLIPModel", num_hidden_layers=5)
  weights = torch_vilbert.make_weights(torch_vilbert.Geometry())
  torch.save(weights, root / "vilbert.bin")
  (root / "cut.pth").write_bytes(REFERENCE.read_bytes()[:3000])
  (root / "taken").mkdir()
  for name, model in (("damaged", []), ("newer", {"newer_setting": 1})):
    RunFolder(root / name).claim({"model": model}, {})
  return root


@pytest.fixture(scope="module")
def outcomes(folder):
  command = "ifa_jax/convert/__main__.py"
  return command_lines.run_all(
    {name: [command, *line.split()] for name, line in LINES.items()},
    folder,
    [
      "ifa_jax.convert.commands.converters",
      "ifa_jax.convert.commands.export",
      "ifa_jax.workdir.checkpoints",
      "safetensors.numpy",
      "transformers.models.auto.tokenization_auto",
    ],
    ENVIRONMENT,
  )


def assert_same(got, want):
  jax.tree.map(np.testing.assert_array_equal, got, want)


def test_encoders_to_a_folder(outcomes, folder):
  status, out, _ = outcomes["hf"]
  assert status == 0
  for line in (
    "total",
    "pooler",
    "not converted (vision): logit_scale ",
    "randomly initialised: text/embed/word/embedding, rows",
    "randomly initialised: relation_head",
    "note: vision: no preprocessor_config.json",
  ):
    assert line in out
  config, params, info = load_converted(folder / "hf")
  assert params["pooler"]["kernel"].shape == (24, 24)
  assert not info["dropped"]["text"]
  assert config.num_relations == 5
  tokenizer = Tokenizer.load(folder / "hf" / "tokenizer")
  assert tokenizer.vocab_size == config.text.vocab_size
  (digest,) = info["sources"]["vision"]["files"].values()
  assert len(digest) == 64


def test_existing_paths_are_not_overwritten(outcomes):
  cases = {
    "hf again": "hf",
    "to deepke again": "back.pth",
    "to folder": "taken",
  }
  for case, name in cases.items():
    status, out, err = outcomes[case]
    assert (status, out) == (1, "")
    assert f"{name}: expected a new path" in err


def test_an_omitted_encoder_is_reported(outcomes, folder):
  status, out, _ = outcomes["hf text"]
  assert status == 0
  assert "randomly initialised: visual/embed/class_token" in out
  config, _, _ = load_converted(folder / "alone")
  assert (config.vision.hidden_dim, config.vision.num_crops) == (24, 1)


def test_settings_reach_the_model(outcomes, folder):
  status, out, _ = outcomes["hf first"]
  assert status == 0
  assert "position table resized from 12 to 20 pixels" in out
  config, params, _ = load_converted(folder / "deep_out")
  assert (config.vision.num_layers, config.vision.image_size) == (3, 20)
  assert config.fusion == "released"
  assert len(params["visual"]["embed"]["position"]) == 1 + 5**2


@pytest.mark.parametrize(
  ("case", "named"),
  [
    ("hf swapped", "clip/config.json: expected a text encoder"),
    ("hf deep", "vision_layers=first:3"),
    ("hf none", "expected text, vision or both"),
    ("hf seed", "seed: expected at least 0 and below 4294967296"),
    ("hf layers", "vision_layers: expected a vision encoder, got none"),
    ("damaged", "config.json: expected the settings of a model, got []"),
    ("newer", "config.json: model.newer_setting: no such setting"),
    ("deepke cut", "cut.pth: expected a zip archive"),
    ("vilbert heads", "vision.num_heads: expected a divisor of hidden_dim 30"),
    ("vilbert away", "expected a model of IFAformer, got system 'vilbert'"),
    ("export nothing", "expected a run's folder"),
  ],
)
def test_mistakes_give_one_line_and_no_output(case, named, outcomes, folder):
  status, out, err = outcomes[case]
  assert (status, out) == (1, "")
  assert err.startswith("error: ")
  assert named in err
  assert len(err.splitlines()) == 1
  assert not [name for name in os.listdir(folder) if name.startswith("bad")]


@pytest.mark.parametrize("case", ["no verb", "no out"])
def test_wrong_usage(case, outcomes):
  assert outcomes[case].status == 2


def test_help_describes_a_verb_and_its_flags(outcomes):
  status, out, _ = outcomes["help"]
  assert status == 0
  assert out.startswith("Converts a checkpoint of HVFormer's code.")
  for flag in ("--checkpoint: A `.pth`", "--num_heads: Attention", "--out: "):
    assert flag in out


def test_deepke_round_trip(outcomes, folder):
  assert outcomes["deepke"].status == 0
  status, out, _ = outcomes["to deepke"]
  assert status == 0
  assert "--num_heads=12 and --fusion=released" in out
  assert os.listdir(folder / "new") == ["back.pth"]
  config, _, _ = load_converted(folder / "deepke")
  assert config.fusion == "released"


def test_vilbert_to_a_folder(outcomes, folder):
  status, out, _ = outcomes["vilbert"]
  assert status == 0
  assert "(a head of pretraining)" in out
  assert "randomly initialised: relation_head" in out
  config, _, _ = load_converted(folder / "vilbert")
  assert (config.system, config.num_relations) == ("vilbert", 6)
  assert config.connection.num_heads == 5


def test_encoders_round_trip(outcomes, folder):
  assert outcomes["to hf"].status == outcomes["from export"].status == 0
  assert "rest.safetensors" in outcomes["to hf"].out
  first, again = (load_converted(folder / name) for name in ("hf", "hf2"))
  assert first[0] == again[0]
  # The blank pooler of an export is dropped.
  assert "pooler" not in again[1]
  del first[1]["pooler"]
  assert_same(again[1], first[1])
  shas = [
    Tokenizer.load(folder / n / "tokenizer").sha256 for n in ("hf", "hf2")
  ]
  assert shas[0] == shas[1]


def test_a_run_is_exported_with_its_best_checkpoint(tmp_path):
  config = tiny.tiny_config(dropout=0.1)
  run = RunFolder(tmp_path / "run")
  run.claim({"model": registry.to_dict(config)}, {"relations": ["None", "a"]})
  raw_tree.write_tokenizer(tmp_path / "run" / "tokenizer")
  params = [tiny.perturbed_params(config, seed) for seed in range(3)]
  with Checkpoints(run.file("checkpoints")) as checkpoints:
    for step, f1 in enumerate((0.5, 0.7, 0.6)):
      state = TrainState(np.int32(step), params[step], ())
      checkpoints.save(state, {"f1": f1})
  model = export.load_model(run.path)
  assert model.model_config == config
  assert model.tokenizer is not None
  assert model.info["relations"] == ["None", "a"]
  assert_same(model.params, params[1])


def test_pytorch_and_transformers_are_optional(folder, tmp_path):
  """Except by a tokenizer, and to write DeepKE's file."""
  source = """
import sys
absent = ["torch", "transformers", "tensorflow", "onnx"]
sys.modules.update(dict.fromkeys(absent))
from ifa_jax.convert import from_deepke, from_huggingface
from ifa_jax.convert.huggingface.export import export_huggingface
from ifa_jax.convert.deepke import export_deepke
clip, deepke, out = sys.argv[1:]
model = from_deepke(deepke)
export_huggingface(out + "/hf", *model)
try:
  export_deepke(out + "/a.pth", *model)
except ValueError as error:
  assert str(error).startswith(out + "/a.pth: DeepKE's file is written by")
else:
  raise AssertionError
from_huggingface(out + "/hf/text", out + "/hf/vision")
from_huggingface(vision=clip)
"""
  subprocess.run(
    [sys.executable, "-c", source, folder / "clip", REFERENCE, tmp_path],
    env={**os.environ, **ENVIRONMENT},
    check=True,
  )
