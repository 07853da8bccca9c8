"""The model card of a shared run, as the hub and a stranger read it."""

import dataclasses
import json
import shutil

import huggingface_hub
import pytest
import tiny_systems

from ifa_jax import models
from ifa_jax.analyze.compare import command
from ifa_jax.inference.sharing import card, scores, sources
from ifa_jax.inference.sharing.sources import RunModel
from ifa_jax.statistics import systems
from ifa_jax.workdir.run_folder import RunFolder


@pytest.fixture(scope="module", name="model")
def model_of_the_finished_run(finished):
  return RunModel(finished.workdir)


@pytest.fixture(scope="module", name="step")
def step_of_the_scores(finished):
  return json.loads((finished.workdir / "eval_test.json").read_text())["step"]


@pytest.fixture(scope="module", name="record")
def record_of_the_finished_run(model, step):
  return model.make_record(step)


def changed(record, model=None, **settings):
  """Returns a record with other settings."""
  if model:
    settings["model"] = models.replace(record.settings.model, **model)
  return record._replace(
    settings=dataclasses.replace(record.settings, **settings)
  )


def test_scores_are_those_that_compare_prints(finished, record):
  for split in ("dev", "test"):
    read = systems.read([f"run={finished.workdir}"], split)
    (wanted,) = command.compare(read)["systems"]
    written = json.loads((finished.workdir / f"eval_{split}.json").read_text())
    found = record.scores[split]
    assert found["n"] == written["n"]
    for name, score in wanted["scores"].items():
      bounds = [score["mean"], score["low"], score["high"]]
      assert found[name] == pytest.approx(bounds, abs=1e-12)
      assert found[name][0] == pytest.approx(written[name], abs=1e-12)


def test_scores_of_another_checkpoint_are_refused(model, step):
  with pytest.raises(ValueError, match=r"eval_dev\.json: expected scores of"):
    model.make_record(step + 1)


def test_one_row_is_its_own_interval(finished, tmp_path, step):
  folder = RunFolder(tmp_path)
  line = {"id": "test/1", "gold": "/a", "pred": "/a", "protocol": "clean"}
  folder.write_lines("predictions_test.jsonl", [line])
  whole = {"n": 1, "accuracy": 1.0, "protocol": "clean", "step": step}
  folder.write_json("eval_test.json", whole)
  found = scores.of_run(folder, step)
  assert found == {
    "test": {"n": 1} | {name: [1.0, 1.0, 1.0] for name in card.SCORES}
  }


def test_the_hub_reads_the_front_matter(record):
  named = record._replace(license="apache-2.0", dataset="MNRE")
  read = huggingface_hub.ModelCard(card.render(named, "me/model"))
  data = read.data.to_dict()
  assert data["library_name"] == "ifa_jax"
  assert data["license"] == "apache-2.0"
  assert {"jax", "ifaformer", "protocol-clean"} <= {*data["tags"]}
  results = read.data.eval_results
  assert read.data.model_name == "me/model"
  found = {(r.dataset_split, r.metric_type): r.metric_value for r in results}
  assert len(found) == len(results) == 8
  f1 = record.scores["test"]["f1"][0]
  assert found["test", "f1"] == pytest.approx(f1, abs=5e-5)
  assert {r.dataset_name for r in results} == {"MNRE (protocol clean)"}


def test_without_scores_and_license_it_claims_neither(record):
  text = card.render(record._replace(scores={}), "model")
  assert "The model has not been scored." in text
  data = huggingface_hub.ModelCard(text).data.to_dict()
  assert not {"license", "model-index", "metrics"} & {*data}


def test_a_stranger_finds_scores_use_and_training(record):
  text = card.render(record, "me/model")
  found = record.scores["test"]
  cells = [
    "{:.2f} [{:.2f}, {:.2f}]".format(*(100 * bound for bound in found[name]))
    for name in card.SCORES
  ]
  assert f"| test | 17 | {' | '.join(cells)} |" in text
  assert 'Predictor.from_pretrained("me/model")' in text
  assert "python -m ifa_jax.predict --model=me/model" in text
  assert f"`{record.training['git_commit']}`" in text
  config = text.split("```json\n")[1].split("```")[0]
  assert json.loads(config) == record.training["config"]
  assert "| train | 40 | 40 |" in text
  assert "`/per/per/couple`" in text


LEAK = "The data leaks the label"


def test_the_leak_is_told_where_it_can_be_seen(record):
  released = changed(record, protocol="released")
  assert LEAK in card.render(released, "model")
  for model in ({"use_objects": False}, {"vision": None}):
    text = card.render(changed(released, model), "model")
    assert LEAK not in text
    assert "This model does not read them" in text


@pytest.mark.parametrize(
  ("protocol", "statement"),
  [
    ("clean", "no\nquery was built from a label"),
    ("none", "the data has no grounded crops"),
  ],
)
def test_the_other_protocols_are_told_from_it(record, protocol, statement):
  text = card.render(changed(record, protocol=protocol), "model")
  assert LEAK not in text
  assert statement in text
  assert f"protocol `{protocol}`" in text


def test_a_text_model_asks_for_no_picture(record):
  text = card.render(changed(record, {"vision": None}), "model")
  assert "It reads only the text and" in text
  assert "ann.jpg" not in text
  assert "multimodal-relation-extraction" not in text


@pytest.mark.parametrize("name", ["caption", "ifaformer_caption"])
def test_a_model_of_captions_asks_for_one_instead_of_a_picture(record, name):
  settings = dataclasses.replace(
    record.settings, model=tiny_systems.MODELS[name]
  )
  text = card.render(record._replace(settings=settings), "model")
  assert "It reads the text and the picture's caption and" in text
  assert '"caption": "a woman at a desk"}' in text
  assert '--tail=Acme --caption="a woman at a desk"\n' in text
  assert "ann.jpg" not in text


def test_shuffled_pictures_are_told(record):
  config = record.training["config"]
  data = config["data"] | {"visual_shuffle_seed": 5}
  training = record.training | {"config": config | {"data": data}}
  text = card.render(record._replace(training=training), "model")
  assert "exchanged at random** (seed" in text
  assert "exchanged" not in card.render(record, "model")


def test_grey_pixels_and_a_limit_are_told(record):
  data = record.training["dataset"]
  counts = data["counts"]["train"] | {"missing_grounded": 7}
  changes = {
    "missing_pixels": "grey",
    "limit": 40,
    "counts": data["counts"] | {"train": counts},
  }
  training = record.training | {"dataset": data | changes}
  text = card.render(record._replace(training=training), "model")
  assert f"| {counts['grounded']} + 7 grey |" in text
  assert "is constant grey" in text
  assert "only the first 40 rows" in text
  plain = card.render(record, "model")
  assert "constant grey" not in plain
  assert "only the first" not in plain


def test_a_parser_that_has_to_be_installed_is_named(record):
  parser = "spacy 3.8.0, en_core_web_sm 3.8.0"
  assert parser in card.render(record, "model", parser)


def test_damaged_scores_keep_a_run_from_being_shared(finished, step, tmp_path):
  copied = shutil.copytree(
    finished.workdir,
    tmp_path / "run",
    ignore=shutil.ignore_patterns("checkpoints"),
  )
  lines = (copied / "predictions_test.jsonl").read_text().splitlines()
  (copied / "predictions_test.jsonl").write_text("\n".join(lines[:-1]))
  with pytest.raises(
    ValueError, match=r"predictions_test\.jsonl: expected n=17"
  ):
    RunModel(copied).make_record(step)


@pytest.mark.parametrize(
  ("key", "value", "message"),
  [
    ("config", {}, "config: expected the key 'model', got none"),
    ("config.data", [], "config: data: expected an object, got []"),
    ("dataset", {}, "dataset: expected the key 'relations', got none"),
    ("dataset.relations", "None", "dataset: relations: expected a list of"),
    ("dataset.tokenizer", {}, "dataset: tokenizer: expected an object"),
    ("dataset.image_size", None, "dataset: image_size: expected a number"),
  ],
)
def test_a_damaged_record_of_a_run_is_named(
  finished, tmp_path, key, value, message
):
  record = json.loads((finished.workdir / "config.json").read_text())
  *parents, last = key.split(".")
  (record[parents[0]] if parents else record)[last] = value
  (tmp_path / "config.json").write_text(json.dumps(record))
  with pytest.raises(ValueError, match="config") as caught:
    RunModel(tmp_path)
  assert f"config.json: {message}" in str(caught.value)


def test_only_paths_are_cut(finished, tmp_path, step):
  """A pattern and the name of a relation may look like one."""
  copied = shutil.copytree(
    finished.workdir,
    tmp_path / "run",
    ignore=shutil.ignore_patterns("checkpoints"),
  )
  written = json.loads((copied / "config.json").read_text())
  written["config"]["optim"]["decay_exclude"] = "/?text/.*"
  written["config"]["data"]["tokenizer"] = "/home/ann/bert"
  written["config"]["weights"] = "text=/home/ann/bert,vision=openai/clip"
  words = "--config.optim.decay_exclude=/?text/.* --workdir=/home/ann/run"
  written |= {"command": f"python launch.py {words}"}
  written |= {"start": ["text: /home/ann/bert, 197 tensors"]}
  (copied / "config.json").write_text(json.dumps(written))
  training = RunModel(copied).make_record(step).training
  config = training["config"]
  assert config["optim"]["decay_exclude"] == "/?text/.*"
  assert config["data"]["tokenizer"] == "bert"
  assert config["weights"] == "text=bert,vision=openai/clip"
  assert training["dataset"] == written["dataset"]
  assert "/per/per/couple" in training["dataset"]["relations"]
  assert "decay_exclude=/?text/.*" in training["command"]
  assert "ann" not in training["command"]
  assert training["start"] == ["text: bert, 197 tensors"]


@pytest.mark.parametrize(
  ("text", "kept"),
  [
    ("/home/ann/data/mnre", "mnre"),
    ("text=/home/ann/bert,vision=openai/clip", "text=bert,vision=openai/clip"),
    ("text: /home/ann/bert, 197 tensors", "text: bert, 197 tensors"),
    ("--workdir=/tmp/a/b", "--workdir=b"),
    ("--config.data.data_dir=/data/mnre/", "--config.data.data_dir=mnre"),
    ("/home/Jane Doe/mnre", "mnre"),
    ("~/posts/mnre", "mnre"),
    ("../../home/ann/mnre", "mnre"),
    ("runs/mnre/objects", "runs/mnre/objects"),
    ("https://example.org/a/b", "https://example.org/a/b"),
  ],
)
def test_folders_of_the_machine_that_trained_are_not_shared(text, kept):
  assert sources._without_folders(text) == kept
