"""Unknown words are counted, and many of them give a warning."""

import json
import logging

import pytest
import raw_tree

from ifa_jax.data import schema
from ifa_jax.preparation.mnre import command
from ifa_jax.preparation.mnre.plan import Planner, Settings
from ifa_jax.preparation.mnre.survey import survey

THAI = raw_tree.row("ทราย ชอบ ทะเล ที่ ภูเก็ต", (0, 1), (4, 5))
ENGLISH = raw_tree.row()


@pytest.fixture
def planner(tmp_path):
  """Returns a function from rows to a tree's planner."""
  tokenizer = raw_tree.write_tokenizer(tmp_path / "tokenizer")

  def plan(*rows):
    tree = raw_tree.write_tree(tmp_path / "raw", [*rows])
    return Planner(
      Settings(
        tree,
        str(tmp_path),
        "none",
        tokenizer=tokenizer,
        missing_pixels="absent",
      )
    )

  return plan


@pytest.mark.silent_input
def test_words_without_a_token_are_counted_and_warned_of(planner, caplog):
  made = planner(THAI, ENGLISH)
  assert [plan.num_unknown for plan in made.plans("train")] == [5, 0]
  survey(made)
  assert "15 of 27 words are unknown to it ([UNK], 56 %)" in caplog.text


@pytest.mark.silent_input
def test_a_word_that_is_unknown_in_part_counts_once(planner):
  row = raw_tree.row("Bill-ทราย-ชอบ in Hollywood", (0, 1), (2, 3))
  (plan,) = planner(row).plans("train")
  assert plan.num_unknown == 1


@pytest.mark.silent_input
def test_a_few_unknown_words_are_no_reason_to_warn(planner, caplog):
  emoji = raw_tree.row("Bill Cosby in Hollywood \U0001f600")
  made = planner(emoji, ENGLISH, ENGLISH)
  survey(made)
  assert [plan.num_unknown for plan in made.plans("test")] == [1, 0, 0]
  warned = [r for r in caplog.records if r.levelno >= logging.WARNING]
  assert not [r for r in warned if r.module == "prepare"]


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("counted", "shown"), [({"unknown_words": 5}, "5"), ({}, "?")]
)
def test_the_summary_shows_the_count_if_the_dataset_has_it(
  counted, shown, capsys
):
  keys = ("rows", "longest_text", "shortened_texts", "pictures", "grounded")
  keys += ("missing_pictures", "missing_grounded", "detected")
  counts = dict.fromkeys([*keys, "missing_detected"], 1) | {"skipped": {}}
  metadata = {
    "protocol": "none",
    "missing_pixels": "absent",
    "relations": ["None", "/a"],
    "counts": dict.fromkeys(schema.SPLITS, counts | counted),
  }
  command.show(
    schema.Prepared("there", json.loads(json.dumps(metadata)), {}), True
  )
  (line,) = [x for x in capsys.readouterr().out.splitlines() if "[UNK]" in x]
  assert line.count(shown) == 3
