"""The command and its server, which gives away no file and keeps none."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import types
import urllib.error
import urllib.request

import pytest
import served
from ports import free_port

from ifa_jax import serve


def has_ipv6():
  try:
    with socket.create_server(("::1", 0), family=socket.AF_INET6):
      return True
  except OSError:
    return False


pytestmark = [
  served.needs_gradio,
  served.ignores_pandas,
  pytest.mark.usefixtures("fast_compilation"),
]


@pytest.fixture(scope="module", name="address")
def address_of_the_page(
  finished, predictor, fast_compilation, raw_dir, tmp_path_factory
):
  boxes, uploads = raw_dir / "boxes.json", tmp_path_factory.mktemp("uploads")
  with served.running(finished.workdir, predictor, uploads, boxes) as address:
    yield address


@pytest.mark.parametrize(
  "path",
  [
    "gradio_api/file=/etc/hostname",
    "gradio_api/file=README.md",
    "gradio_api/file=config.json",
    "gradio_api/file=https://elsewhere.invalid/a.jpg",
    "file=/etc/hostname",
    "gradio_api/proxy=https://elsewhere.invalid/a.jpg",
    "static/../../../../../../../etc/hostname",
    "static/..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc/hostname",
    "assets/%2fetc/hostname",
  ],
)
def test_no_file_of_the_machine_is_served(address, looked_up, path):
  with pytest.raises(urllib.error.HTTPError) as raised:
    urllib.request.urlopen(f"{address}{path}")
  assert raised.value.code in (403, 404)
  assert "elsewhere.invalid" not in looked_up


@pytest.fixture(name="looked_up")
def hosts_that_are_looked_up(monkeypatch):
  hosts, look_up = [], socket.getaddrinfo

  def note(host, *args, **kwargs):
    hosts.append(host)
    return look_up(host, *args, **kwargs)

  monkeypatch.setattr(socket, "getaddrinfo", note)
  return hosts


def submit(address, data):
  """Submits data to the page's first event of so many inputs."""
  with urllib.request.urlopen(f"{address}config") as reply:
    listed = json.load(reply)["dependencies"]
  (number, *_) = (x["id"] for x in listed if len(x["inputs"]) == len(data))
  body = {"data": data, "fn_index": number, "session_hash": "s"}
  request = urllib.request.Request(
    f"{address}gradio_api/queue/join",
    json.dumps(body).encode(),
    {"Content-Type": "application/json"},
  )
  with urllib.request.urlopen(request):
    pass
  events = f"{address}gradio_api/queue/data?session_hash=s"
  with urllib.request.urlopen(
    events, timeout=served.SECONDS_TO_ANSWER
  ) as stream:
    return next(line for line in stream if b"process_completed" in line)


@pytest.mark.parametrize(
  "path",
  ["/etc/hostname", "https://elsewhere.invalid/a.jpg", "{uploads}/../x"],
)
@pytest.mark.parametrize("place", [0, 6])
def test_no_file_is_read_that_nobody_uploaded(address, looked_up, path, place):
  path = path.format(uploads=os.environ["GRADIO_TEMP_DIR"])
  data = ["Ann joins Acme", "Ann", "Acme", "", "", "", None]
  data[place] = {"path": path, "meta": {"_type": "gradio.FileData"}}
  with pytest.raises(urllib.error.HTTPError) as raised:
    submit(address, data)
  assert raised.value.code == 403
  assert "elsewhere.invalid" not in looked_up


def send_file(address, content):
  """Uploads a file; returns its path."""
  head = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"'
  request = urllib.request.Request(
    f"{address}gradio_api/upload",
    head + b"\r\n\r\n" + content + b"\r\n--b--\r\n",
    {"Content-Type": "multipart/form-data; boundary=b"},
  )
  with urllib.request.urlopen(request) as reply:
    (path,) = json.load(reply)
  return pathlib.Path(path)


def test_uploads_are_deleted_soon_and_with_ctrl_c(
  finished, fast_compilation, monkeypatch, tmp_path
):
  page = served.import_page()

  values = {"workdir": str(finished.workdir), "port": free_port()}
  values |= dict.fromkeys(("boxes", "detector", "grounder"))
  flags = types.SimpleNamespace(host="127.0.0.1", model=None, **values)
  monkeypatch.setattr(serve.flags, "FLAGS", flags)
  monkeypatch.setattr(serve.tempfile, "tempdir", str(tmp_path))
  monkeypatch.setattr(page, "_DELETION", (1, 1))
  for name in page.environment("", ""):
    # All are as they were, afterwards.
    monkeypatch.setenv(name, "")
  said, seen = [], []
  say = lambda line, **_: said.append(line)  # noqa: E731
  monkeypatch.setattr(serve, "print", say, raising=False)

  def look_and_stop():
    while not said:
      time.sleep(0.05)
    address = said[0].split()[0]
    # A sample, by its number: its picture stays.
    seen.append(b'"success":true' in submit(address, [0]))
    upload = send_file(address, b"picture")
    seen.append((upload.read_bytes(), [*tmp_path.iterdir()]))
    until = time.monotonic() + served.SECONDS_TO_ANSWER
    while upload.exists() and time.monotonic() < until:
      time.sleep(0.05)
    seen.append(upload.exists())
    seen.append(len([*tmp_path.glob("*/samples/*.jpg")]))
    os.kill(os.getpid(), signal.SIGTERM)

  before = signal.getsignal(signal.SIGTERM)
  threading.Thread(target=look_and_stop, daemon=True).start()
  try:
    serve.main(None)
  finally:
    signal.signal(signal.SIGTERM, before)
  answered, (content, folders), is_left, num_samples = seen
  assert answered
  assert (content, len(folders)) == (b"picture", 1)
  assert not is_left
  assert num_samples == 4
  assert [*tmp_path.iterdir()] == []
  address = f"http://127.0.0.1:{flags.port}/"
  assert said == [f"{address} predicts posts; Ctrl-C ends it", "\nstopped"]


def test_a_port_in_use_is_named():
  with socket.create_server(("127.0.0.1", 0)) as taken:
    port = taken.getsockname()[1]
    with pytest.raises(ValueError, match=f"127.0.0.1, got {port} .*in use"):
      serve.check_port("127.0.0.1", port)
  serve.check_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no..name", "192.0.2.1", ""])
def test_an_address_of_no_interface_is_named(host):
  """The second is reserved for documentation."""
  wanted = f"--host: expected an address of this machine, got {host!r} "
  with pytest.raises(ValueError, match=re.escape(wanted)):
    serve.check_port(host, free_port())


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address_is_served(predictor, tmp_path):
  with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
    port = taken.getsockname()[1]
    with pytest.raises(ValueError, match=f"--port: .* of ::1, got {port}"):
      serve.check_port("::1", port)
  serve.check_port("::1", port)
  with served.running("run", predictor, tmp_path, host="::1") as address:
    assert address.startswith("http://[::1]:")
    with urllib.request.urlopen(address) as reply:
      assert reply.status == 200


def test_without_gradio_the_command_says_what_to_install():
  code = (
    "import sys; sys.modules['gradio'] = None\n"
    "from ifa_jax import serve; serve.define_flags()\n"
    "serve.app.run(serve.main)"
  )
  done = subprocess.run(
    [sys.executable, "-c", code, "--workdir=none"],
    capture_output=True,
    text=True,
    check=False,
  )
  wanted = (
    "error: serve: expected Gradio, got no such package; pip install gradio"
    " (the extra serve)"
  )
  assert (done.returncode, done.stderr.strip()) == (1, wanted)
