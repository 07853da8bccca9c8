"""Data from outside runs no code, starts no program and reaches no network."""

import ast
import contextlib
import sys

import command_lines
import pytest
import tiny_run

from ifa_jax.inference.predictor import Predictor
from ifa_jax.preparation.mnre import prepare

ROOT = command_lines.ROOT
FILES = [
  ROOT / "launch.py",
  *(
    path
    for folder in ("ifa_jax", "data_prep", "configs")
    for path in (ROOT / folder).rglob("*.py")
  ),
]

# Modules and calls that run code, start programs or reach a network.
MODULES = {
  *("aiohttp", "code", "ctypes", "dill", "fsspec", "ftplib", "http"),
  *(
    "httpx",
    "huggingface_hub",
    "joblib",
    "marshal",
    "pickle",
    "pty",
    "requests",
  ),
  *("runpy", "shelve", "smtplib", "socket", "socketserver", "subprocess"),
  *("telnetlib", "urllib", "urllib3", "webbrowser", "xmlrpc", "yaml"),
}
CALLS = {
  *("eval", "exec", "compile", "__import__", "importlib.import_module"),
  *("os.system", "os.popen", "os.fork", "os.posix_spawn", "os.startfile"),
  *("torch.load", "importlib.util.module_from_spec"),
}
# Each with its reason.
ALLOWED = {
  # An unpickler that imports nothing and builds plain values only.
  ("ifa_jax/files/torch_file.py", "pickle"),
  # Processes of one run find each other.
  ("ifa_jax/runtime/distributed.py", "socket"),
  ("ifa_jax/runtime/peers.py", "subprocess"),
  ("ifa_jax/runtime/relay.py", "socket"),
  # Asked for by --ray: an optional package, and whether its cluster is there.
  ("ifa_jax/cluster/connection.py", "importlib.import_module"),
  ("ifa_jax/cluster/connection.py", "socket"),
  # One of this package's own two modules.
  ("ifa_jax/inference/blocks/kinds.py", "importlib.import_module"),
  # The page's own port.
  ("ifa_jax/serve.py", "socket"),
  # Makes the C library of this process keep memory.
  ("ifa_jax/runtime/malloc.py", "ctypes"),
  # Asks git for the commit of this checkout.
  ("ifa_jax/workdir/run_folder.py", "subprocess"),
  # Named by the user as a hub id.
  ("ifa_jax/convert/sources.py", "huggingface_hub"),
  ("ifa_jax/data/text/tokenizer_files.py", "huggingface_hub"),
  ("ifa_jax/inference/sharing/hub.py", "huggingface_hub"),
  # Formats a model card, and reaches nothing.
  ("ifa_jax/inference/sharing/card.py", "huggingface_hub"),
  # A config is a program that the user names.
  # Verbs and classes of this package, from a fixed list.
  ("ifa_jax/cli/app.py", "importlib.import_module"),
  ("ifa_jax/__init__.py", "importlib.import_module"),
}


def uses(tree):
  """Yields those of the above that a program names."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      names = [node.module or ""]
    elif isinstance(node, ast.Call):
      name = ast.unparse(node.func)
      if name in CALLS or name.startswith(("os.exec", "os.spawn")):
        yield name
      continue
    else:
      continue
    yield from {name.partition(".")[0] for name in names} & MODULES


def loads(tree):
  """Yields the keywords of calls that load arrays or pretrained models."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Call):
      name = ast.unparse(node.func)
      if name == "Predictor.from_pretrained":
        # Our own, see `test_sharing_bad`.
        continue
      if name == "np.load" or name.endswith((".from_pretrained", ".pipeline")):
        values = {x.arg: ast.unparse(x.value) for x in node.keywords}
        yield name, values


def test_what_runs_code_or_leaves_the_machine_is_listed():
  found = {
    (path.relative_to(ROOT).as_posix(), name)
    for path in FILES
    for name in uses(ast.parse(path.read_text()))
  }
  assert found == ALLOWED


def test_arrays_are_never_pickles_and_models_never_bring_code():
  kinds = set()
  for path in FILES:
    for name, values in loads(ast.parse(path.read_text())):
      if name == "np.load":
        assert values.get("allow_pickle") == "False", path
      else:
        assert values.get("trust_remote_code") == "False", path
      kinds.add(name.rpartition(".")[2])
  assert kinds == {"load", "from_pretrained", "pipeline"}


@pytest.mark.parametrize(
  ("code", "found"),
  [
    ("import urllib.request", {"urllib"}),
    ("def f():\n  from http import client", {"http"}),
    ("os.execv(a, b)", {"os.execv"}),
    ("x = eval(y)", {"eval"}),
    ("model.eval(); re.compile(x); ast.literal_eval(x)", set()),
  ],
)
def test_uses_are_found(code, found):
  assert {*uses(ast.parse(code))} == found


EVENTS = {
  *("os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system"),
  *("pickle.find_class", "pty.spawn", "socket.bind", "socket.connect"),
  *("socket.getaddrinfo", "socket.sendto", "subprocess.Popen"),
  *("urllib.Request", "webbrowser.open"),
}
watched = []


def note(event, args):
  for events in watched:
    if event in EVENTS:
      events.append((event, args))
    elif event == "exec":
      events.append((event, args[0].co_filename))


@contextlib.contextmanager
def watch():
  """Yields a list of the events inside."""
  if not hasattr(sys, "_ifa_jax_watched"):
    # A hook stays for as long as the process.
    sys._ifa_jax_watched = watched
    sys.addaudithook(note)
  events = []
  watched.append(events)
  try:
    yield events
  finally:
    watched.remove(events)


@pytest.mark.usefixtures("fast_compilation")
def test_posts_are_prepared_and_predicted_without_code_or_network(
  raw_dir, finished, posts, tmp_path
):
  settings = tiny_run.dataset_settings(raw_dir, tmp_path / "data")
  with watch() as events:
    prepare.prepare(settings)
    Predictor(finished.workdir).predict(posts[0])
  ours = (str(raw_dir), str(tmp_path), str(finished.workdir))
  ran = {found for event, found in events if event == "exec"}
  assert [name for name in ran if name.startswith(ours)] == []
  assert [x for x in events if x[0] != "exec"] == []


def test_what_is_watched_for_is_seen():
  with watch() as events:
    with contextlib.suppress(OSError):
      __import__("socket").create_connection(("127.0.0.1", 1), 0.1)
    exec(compile("x = 1", "/outside/code.py", "exec"))
  assert ("exec", "/outside/code.py") in events
  assert "socket.connect" in {event for event, _ in events}
