"""Models on the hub, against a fake one that records its calls."""

import json
import pathlib
import shutil
from typing import NamedTuple

import huggingface_hub
import pytest
from huggingface_hub.utils import filter_repo_objects

from ifa_jax.inference.predictor import Predictor
from ifa_jax.inference.sharing import hub

pytestmark = pytest.mark.usefixtures("fast_compilation")


class Commit(NamedTuple):
  commit_url: str


class File(NamedTuple):
  rfilename: str


class Info(NamedTuple):
  private: bool
  siblings: list[File]


class FakeHub:
  """Keeps repositories as folders, and the calls that it got."""

  def __init__(self, root):
    self.root = pathlib.Path(root)
    self.calls = []
    self.is_private = False

  def repo_exists(self, repo_id):
    return (self.root / repo_id).exists()

  def model_info(self, repo_id):
    names = [path.name for path in (self.root / repo_id).iterdir()]
    return Info(self.is_private, [File(name) for name in names])

  def hf_hub_download(self, repo_id, name):
    return str(self.root / repo_id / name)

  def create_repo(self, repo_id, **options):
    self.calls.append(("create_repo", repo_id, options))

  def upload_folder(self, *, repo_id, folder_path, **options):
    self.calls.append(("upload_folder", repo_id, options))
    shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)
    return Commit(f"https://hub.example/{repo_id}/commit/1")

  def snapshot_download(self, repo_id, *, revision, allow_patterns):
    self.calls.append(("snapshot_download", repo_id, revision))
    source, target = self.root / repo_id, self.root / "cache" / repo_id
    names = [
      path.relative_to(source).as_posix()
      for path in source.rglob("*")
      if path.is_file()
    ]
    for name in filter_repo_objects(names, allow_patterns=allow_patterns):
      (target / name).parent.mkdir(parents=True, exist_ok=True)
      shutil.copy(source / name, target / name)
    return str(target)


@pytest.fixture(name="fake")
def fake_hub(tmp_path, monkeypatch):
  fake = FakeHub(tmp_path / "hub")
  monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
  monkeypatch.setattr(
    huggingface_hub, "snapshot_download", fake.snapshot_download
  )
  return fake


def test_a_model_goes_to_the_hub_and_comes_back(predictor, fake, posts):
  url = predictor.push_to_hub("me/model", private=True, license="mit")
  assert url == "https://hub.example/me/model/commit/1"
  created, uploaded = fake.calls
  assert created == (
    "create_repo",
    "me/model",
    {"private": True, "exist_ok": True},
  )
  assert uploaded[:2] == ("upload_folder", "me/model")
  card = (fake.root / "me/model" / "README.md").read_text()
  assert 'from_pretrained("me/model")' in card
  assert "license: mit" in card
  (fake.root / "me/model" / "pytorch_model.bin").touch()
  (fake.root / "me/model" / "run.py").touch()
  found = Predictor.from_pretrained("me/model", revision="v1")
  assert fake.calls[-1] == ("snapshot_download", "me/model", "v1")
  fetched = {path.name for path in (fake.root / "cache").rglob("*")}
  assert not {"pytorch_model.bin", "run.py", "README.md"} & fetched
  wanted = list(predictor.predict_all(posts))
  assert list(found.predict_all(posts)) == wanted


def test_all_files_of_a_shared_folder_are_fetched():
  names = ["words.txt", "scenes.json", "tokenizer/vocab.txt", "crc32c.json"]
  names += ["region_encoder/config.json", "config.json", "model.safetensors"]
  kept = filter_repo_objects(names, allow_patterns=[*hub._FILES])
  assert [*kept] == names


def write_repository(fake, repo_id, **files):
  folder = fake.root / repo_id
  folder.mkdir(parents=True)
  for name in (".gitattributes", "README.md"):
    (folder / name).touch()
  for name, content in files.items():
    (folder / f"{name}.json").write_text(json.dumps(content))


OURS, THEIRS = {"library_name": "ifa_jax"}, {"model_type": "bert"}


@pytest.mark.parametrize("files", [{}, {"config": OURS, "crc32c": {}}])
def test_a_repository_of_such_a_model_is_replaced(predictor, fake, files):
  write_repository(fake, "me/model", **files)
  predictor.push_to_hub("me/model")
  assert [name for name, *_ in fake.calls] == ["create_repo", "upload_folder"]


@pytest.mark.parametrize(
  ("files", "private", "message"),
  [
    ({"data": []}, False, r"or holds such a model, got data\.json"),
    ({"config": THEIRS}, False, r"or holds such a model, got config\.json"),
    ({"config": []}, False, r"or holds such a model, got config\.json"),
    ({"config": OURS}, True, "a private repository, got a public one"),
  ],
)
def test_another_repository_is_left_alone(
  predictor, fake, files, private, message
):
  write_repository(fake, "me/model", **files)
  with pytest.raises(ValueError, match=f"me/model: expected .*{message}"):
    predictor.push_to_hub("me/model", private=private)
  assert fake.calls == []


def test_a_private_repository_may_be_named_again(predictor, fake):
  write_repository(fake, "me/model", config=OURS)
  fake.is_private = True
  predictor.push_to_hub("me/model", private=True)
  predictor.push_to_hub("me/model")


def test_a_folder_has_no_revisions(tmp_path):
  assert hub.find(tmp_path) == str(tmp_path)
  with pytest.raises(ValueError, match="revision: expected none of the folder"):
    hub.find(tmp_path, revision="v1")


def test_a_hub_that_refuses_gives_one_line(predictor, fake, monkeypatch):
  def refuse(*_, **__):
    raise RuntimeError("403\n  Forbidden: you have\nno token " + "x" * 500)

  monkeypatch.setattr(fake, "upload_folder", refuse)
  with pytest.raises(
    ValueError, match=r"me/model: expected .* \(403 Forb"
  ) as caught:
    predictor.push_to_hub("me/model")
  assert "\n" not in str(caught.value)
  assert len(str(caught.value)) < 300


def test_nothing_is_created_for_a_model_that_cannot_be_saved(
  finished, fake, tmp_path
):
  copied = shutil.copytree(finished.workdir, tmp_path / "run")
  run = Predictor(copied)
  (copied / "predictions_dev.jsonl").write_text("")
  with pytest.raises(ValueError, match=r"predictions_dev\.jsonl"):
    run.push_to_hub("me/model")
  assert fake.calls == []


def test_what_cannot_be_fetched_gives_one_line(monkeypatch):
  def fail(*_, **__):
    raise OSError("no network\nat all")

  monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
  message = r"me/model: expected a folder, or a model .* \(no network at all\)"
  with pytest.raises(ValueError, match=message):
    Predictor.from_pretrained("me/model")


@pytest.mark.parametrize("name", ["./gone", "/gone/it/is", "gone", "a/b/c"])
def test_what_is_no_hub_id_is_not_asked_for(fake, name):
  with pytest.raises(ValueError, match="expected a folder, or user/name on"):
    Predictor.from_pretrained(name)
  assert fake.calls == []
