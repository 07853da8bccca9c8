"""Variants of a config file, and settings that all of them share."""

from types import SimpleNamespace

import pytest
import tiny_table
from absl import flags

from ifa_jax.analyze import published
from ifa_jax.analyze.rows import configs
from ifa_jax.models import variants


def test_published_rows_are_those_of_the_paper():
  found = {name: row.figures.f1 for name, row in published.VARIANTS.items()}
  assert found["pcnn"] == 53.59
  assert found["mega"] == found["mega_released"] == 66.41
  assert found["bert_sg"] == 62.80
  assert [found[name] for name in variants.SUCCESSORS] == [
    *(81.95, 81.95),
    83.39,
    *(81.85, 81.85),
  ]
  rows = [row for row in published.ROWS if row.table != "Table 1"]
  assert {*rows} == {*published.VARIANTS.values()} - {
    published.VARIANTS["bert_sg"]
  }


def test_rows_are_those_of_table_2_unless_they_are_chosen():
  names = ("text", "objects", "bert", "hvformer")
  file = SimpleNamespace(__file__="x.py", VARIANTS=names)
  assert configs.choose(file, [], "Table 2") == ["bert", "objects"]
  chosen = ["hvformer", "text", "objects"]
  assert configs.choose(file, chosen, "Table 2") == chosen
  file.VARIANTS = ("text", "bert_sg")
  with pytest.raises(ValueError, match="no variant is a row of Table"):
    configs.choose(file, [], "Table 2")


def test_settings_keep_their_types():
  module = configs.load(tiny_table.CONFIG)
  words = ["data.text_buckets=(24, 32)", "train.progress=false", "weights=a=b"]
  words += ["optim.groups.new.peak_lr=1", "data.visual_shuffle_seed=3"]
  found = configs.read(module, "objects", configs.parse(words))
  assert found.data.text_buckets == (24, 32)
  assert found.train.progress is False
  assert found.weights == "a=b"
  rate = found.optim.groups["new"].peak_lr
  assert (rate, type(rate)) == (1.0, float)
  assert found.data.visual_shuffle_seed == 3
  unchanged = configs.read(module, "objects", {})
  settings, others = found.to_dict(), unchanged.to_dict()
  settings["weights"] = others["weights"]
  settings["train"]["progress"] = True
  settings["optim"]["groups"]["new"] = others["optim"]["groups"]["new"]
  for name in ("text_buckets", "visual_shuffle_seed"):
    settings["data"][name] = others["data"][name]
  assert settings == others


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("text", "found"),
  [
    (
      "data.text_buckets=(24,32),seed_of=1",
      {"data.text_buckets": "(24,32)", "seed_of": "1"},
    ),
    (
      "a.b=1,data.text_buckets=(24, 32, 40)",
      {"a.b": "1", "data.text_buckets": "(24,32,40)"},
    ),
    ('"data.text_buckets=(24, 32)"', {"data.text_buckets": "(24, 32)"}),
    ("data.text_buckets=(),a=b", {"data.text_buckets": "()", "a": "b"}),
    ('"weights=text=A,vision=B",a=1', {"weights": "text=A,vision=B", "a": "1"}),
    ("data.data_dir=a,b", {"data.data_dir": "a,b"}),
  ],
)
def test_a_value_may_have_commas(text, found):
  assert configs.parse(flags.ListParser().parse(text)) == found


@pytest.mark.silent_input
def test_a_value_of_two_numbers_is_read_without_quotes():
  module = configs.load(tiny_table.CONFIG)
  parts = flags.ListParser().parse("data.text_buckets=(24,32)")
  read = configs.read(module, "objects", configs.parse(parts))
  assert read.data.text_buckets == (24, 32)


@pytest.mark.silent_input
def test_a_part_of_a_value_that_reads_as_a_setting_is_told_of_quotes():
  module = configs.load(tiny_table.CONFIG)
  parts = flags.ListParser().parse("weights=text=A,vision=B")
  with pytest.raises(ValueError, match=r"no setting vision.*double quotes"):
    configs.read(module, "objects", configs.parse(parts))
