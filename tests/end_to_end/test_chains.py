"""The files that a reader opens, by real calls; docs/architecture.md."""

import shutil

import chains
import pytest

pytestmark = pytest.mark.usefixtures("fast_compilation")

# A post's answer passes 12 files of the model itself.
MOST = {"training": 25, "inference": 28, "shuffle": 15, "config": 6}


@pytest.fixture(scope="module", name="found")
def files_of_each_chain(data_dir, finished, posts, tmp_path_factory):
  post = {key: posts[0][key] for key in ("text", "image", "boxes")}
  post |= {"head_span": posts[0]["head_span"]}
  post |= {"tail_span": posts[0]["tail_span"]}
  folder, run = (tmp_path_factory.mktemp(name) for name in ("chains", "run"))
  # A shuffle adds its predictions to the run.
  shutil.copytree(finished.workdir, run, dirs_exist_ok=True)
  return chains.follow_all(data_dir, run, post, folder)


@pytest.mark.parametrize("chain", MOST)
def test_a_reader_opens_few_files(found, chain):
  assert 5 < len(found[chain]) <= MOST[chain]


def test_the_document_lists_them(found):
  text = chains.DOCUMENT.read_text()
  for files in found.values():
    for file in files:
      assert f"| `{file}` |" in text
  assert chains.document(found).count("\n") == text.count("\n")


def test_calls_are_followed_within_the_project_alone(found):
  names = {name.split("/")[0] for files in found.values() for name in files}
  assert names == {"configs", "ifa_jax"}
  assert "TrainStep.__call__" in found["training"]["ifa_jax/training/steps.py"]
