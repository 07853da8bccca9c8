r"""Serves a local page that predicts posts, with objects and alignment.

    python -m ifa_jax.serve --workdir=runs/objects
    python -m ifa_jax.serve --workdir=runs/objects --boxes=boxes.json \
        --detector=facebook/detr-resnet-50 --port=8000
    python -m ifa_jax.serve --model=user/name

Open the address that it prints. The page is served only to this machine, unless
`--host` is given, and no post leaves it. The objects of a picture are those
that `--boxes` lists by its file name, otherwise those that `--detector` and
`--grounder` find. Needs the extra `serve` (Gradio).
"""

import errno
import os
import signal
import socket
import tempfile
import threading

from absl import flags

from ifa_jax.cli import app
from ifa_jax.inference import model_flags

COMPILES = True


def define_flags() -> None:
  """Defines the flags; importing this module defines none."""
  model_flags.define_flags()
  flags.DEFINE_string(
    "host", "127.0.0.1", "Address to listen on; 0.0.0.0 serves all machines."
  )
  flags.DEFINE_integer(
    "port", 7860, "Port to listen on.", lower_bound=1, upper_bound=65535
  )


def main(_) -> None:
  """Serves the page until Ctrl-C."""
  values = flags.FLAGS
  # Treated as Ctrl-C, so that uploads are deleted.
  signal.signal(signal.SIGTERM, signal.default_int_handler)
  with tempfile.TemporaryDirectory(prefix="ifa_jax-") as folder:
    try:
      _serve(values, folder)
    except KeyboardInterrupt:
      print("\nstopped")


def _serve(values, folder: str) -> None:
  page = _load_page()
  check_port(values.host, values.port)
  from ifa_jax.inference.completion import listed_boxes
  from ifa_jax.serving.answers import Answerer
  from ifa_jax.serving.samples import make_samples

  os.environ.update(page.environment(folder, values.host))
  listed = listed_boxes(values.boxes) if values.boxes else None
  finder = " and ".join(filter(None, (values.detector, values.grounder)))
  predictor, samples = model_flags.load(values), make_samples()
  name = values.workdir or values.model
  answerer = Answerer(name, predictor, samples, listed, finder or None)
  with page.running(answerer, samples, values.host, values.port) as address:
    print(f"{address} predicts posts; Ctrl-C ends it", flush=True)
    threading.Event().wait()


def check_port(host: str, port: int) -> None:
  """Raises ValueError if the host or its port cannot be listened on."""
  wanted = f"--host: expected an address of this machine, got {host!r}"
  try:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
  except (socket.gaierror, UnicodeError) as error:
    raise ValueError(f"{wanted} ({error.args[-1]})") from None
  family, kind, protocol, _, address = found[0]
  with socket.socket(family, kind, protocol) as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
      probe.bind(address)
    except OSError as error:
      if error.errno == errno.EADDRNOTAVAIL:
        raise ValueError(f"{wanted} ({error.strerror})") from None
      raise ValueError(
        f"--port: expected a free port of {host}, got {port}"
        f" ({error.strerror}); choose another"
      ) from None


def _load_page():
  """Returns the module of the page.

  Raises:
    ValueError: if Gradio is not installed.
  """
  try:
    from ifa_jax.serving import page
  except ModuleNotFoundError as error:
    if error.name != "gradio":
      raise
    raise ValueError(
      "serve: expected Gradio, got no such package; pip install gradio (the"
      " extra serve)"
    ) from None
  return page


def run() -> None:
  """Runs the command."""
  app.run_module("ifa_jax.serve")


if __name__ == "__main__":
  run()
