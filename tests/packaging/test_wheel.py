"""The wheel, built from this checkout and used from an empty folder.

Its environment has the packages of the one that runs the tests, and nothing of
the checkout.
"""

import json
import subprocess
import sys
import sysconfig
import venv

import command_lines
import pytest
import tiny_run

pytestmark = pytest.mark.slow

ROOT = command_lines.ROOT
TEXT = ["--text=Ann joins Acme", "--head=Ann", "--tail=Acme"]


def run(*command, **options):
  done = subprocess.run(command, capture_output=True, text=True, **options)
  assert done.returncode == 0, done.stderr
  return done


@pytest.fixture(scope="module", name="installed")
def environment_with_the_wheel(tmp_path_factory):
  """Returns the folder of an environment whose bin/ has the commands."""
  folder = tmp_path_factory.mktemp("wheel")
  pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
  run(
    *(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index"),
    *(f"--wheel-dir={folder}", str(ROOT)),
  )
  (wheel,) = folder.glob("*.whl")
  venv.create(folder / "env", with_pip=False)
  python = folder / "env" / "bin" / "python"
  # Packages alone: no .pth file of that folder is read, an editable install's
  # among them.
  (site,) = folder.glob("env/lib/python*/site-packages")
  (site / "packages.pth").write_text(sysconfig.get_path("purelib"))
  run(*pip, f"--python={python}", "install", "--no-deps", "--no-index", wheel)
  return folder / "env"


@pytest.fixture(name="use")
def run_from_an_empty_folder(installed, compiled_dir, tmp_path):
  environment = tiny_run.fast_environment(compiled_dir)
  environment.pop("PYTHONPATH", None)

  def use(name, *arguments):
    command = [installed / "bin" / name, *arguments]
    return run(*command, cwd=tmp_path, env=environment)

  return use


def test_the_only_new_name_is_the_package(installed):
  (site,) = installed.glob("lib/python*/site-packages")
  names = {path.name for path in site.iterdir()} - {"packages.pth"}
  assert "ifa_jax" in names
  assert all(name.endswith(".dist-info") for name in names - {"ifa_jax"})
  assert (site / "ifa_jax" / "py.typed").exists()
  scripts = {path.name for path in (installed / "bin").glob("ifa-*")}
  verbs = ("train", "prepare", "predict", "serve", "analyze", "convert")
  assert scripts == {f"ifa-{verb}" for verb in verbs}


def test_every_part_is_imported_from_it(use, installed):
  code = (
    "import ifa_jax, ifa_jax.analyze, ifa_jax.convert, ifa_jax.serve,"
    " ifa_jax.preparation.mnre.command, ifa_jax.serving.view, importlib.util\n"
    "ifa_jax.Predictor, ifa_jax.Batch\n"
    "assert not importlib.util.find_spec('configs')\n"
    "assert not importlib.util.find_spec('data_prep')\n"
    "print(ifa_jax.__file__, ifa_jax.__version__)"
  )
  file, version = use("python", "-P", "-c", code).stdout.split()
  assert file.startswith(str(installed))
  assert version == "0.2.0"


def test_spacy_finds_the_component_and_loads_it_when_it_is_added(use):
  code = (
    "import spacy, sys\n"
    "nlp = spacy.blank('en')\n"
    "assert not {'jax', 'absl', 'PIL'} & {*sys.modules}\n"
    "try: nlp.add_pipe('ifa_jax', config={'workdir': 'gone'})\n"
    "except ValueError as error: print(error)"
  )
  found = use("python", "-P", "-c", code).stdout
  assert "gone: expected a run's folder with a config.json" in found


def test_it_trains_and_predicts_without_a_checkout(use, data_dir, tmp_path):
  sizes = tiny_run.SECTIONS["model"]["text"]
  model = {
    **{f"text.{name}": size for name, size in sizes.items()},
    **{f"vision.{name}": size for name, size in sizes.items()},
    **{f"vision.{name}": size for name, size in tiny_run.GEOMETRY.items()},
    "text.vocab_size": 813,
    "num_relations": 10,
  }
  trained = use(
    "ifa-train",
    "--config=mnre:tiny",
    f"--config.data.data_dir={data_dir}",
    "--config.data.protocol=clean",
    "--config.data.tokenizer_sha256=",
    "--config.data.text_len=40",
    "--config.train.max_steps=1",
    "--config.train.progress=False",
    *(f"--config.model.{name}={value}" for name, value in model.items()),
  )
  lines = trained.stderr.splitlines()
  assert lines[0] == "Run folder: runs/mnre/tiny"
  assert lines[1:3] == [
    "Starting from",
    "  relation head, text, vision: random",
  ]
  record = json.loads((tmp_path / "runs/mnre/tiny/config.json").read_text())
  assert record["command"].startswith("ifa-train --config=mnre:tiny --config.d")
  predicted = use("ifa-predict", "--workdir=runs/mnre/tiny", *TEXT)
  assert "Ann -> Acme" in predicted.stdout


def test_without_a_dataset_the_error_is_a_command_that_is_there(use):
  config = ["--config=mnre:tiny", "--config.data.protocol=none"]
  with pytest.raises(AssertionError, match=r"make one: ifa-prepare mnre --raw"):
    use("ifa-train", *config)
  assert "--protocol" in use("ifa-prepare", "mnre", "--help").stdout
