"""The page's server answers only the page's own requests."""

import asyncio
import json

import pytest

pytest.importorskip("starlette", reason="the page's packages are not installed")

from ifa_jax.serving import gate

WITH_DATA = ("/gradio_api/queue/join", "/gradio_api/run/predict")
SECRET = "/etc/hostname"


@pytest.fixture(name="uploads")
def folder_of_an_upload(tmp_path):
  folder = tmp_path / "uploads"
  folder.mkdir()
  (folder / "a.jpg").write_bytes(b"picture")
  (folder / "out").symlink_to(SECRET)
  (tmp_path / "uploads.jpg").touch()
  return folder


def ask(folder, method, path, parts=(b"",), kind="http", **headers):
  """Returns the status of a request, and the body that reached the app."""
  reached, sent, last = [], [], len(parts) - 1
  messages = [
    {"type": "http.request", "body": part, "more_body": i < last}
    for i, part in enumerate(parts)
  ]

  async def receive():
    return messages.pop(0) if messages else {"type": "http.disconnect"}

  async def send(message):
    sent.append(message)

  async def app(scope, receive, send):
    body = b""
    while (message := await receive())["type"] == "http.request":
      body += message["body"]
    reached.append(body)
    await send({"type": "http.response.start", "status": 200, "headers": []})

  named = [
    (name.replace("_", "-").encode(), value.encode())
    for name, value in headers.items()
  ]
  scope = {"type": kind, "method": method, "path": path, "headers": named}
  asyncio.run(gate.Gate(app, folder)(scope, receive, send))
  assert len(reached) == (sent[0]["status"] == 200)
  return sent[0]["status"], *reached


@pytest.mark.parametrize(
  ("headers", "status"),
  [
    ({}, 200),
    ({"origin": "http://me:7860"}, 200),
    ({"origin": "http://evil.example"}, 403),
    ({"origin": "http://me:8000"}, 403),
    ({"origin": "null"}, 403),
    ({"origin": "http://page.lan", "x_forwarded_host": "page.lan"}, 200),
    ({"sec_fetch_site": "same-origin", "origin": "https://proxy"}, 200),
    ({"sec_fetch_site": "cross-site"}, 403),
    ({"sec_fetch_site": "same-site", "origin": "http://me:7860"}, 403),
  ],
)
def test_pages_of_other_sites_post_nothing(uploads, headers, status):
  path = "/gradio_api/upload"
  found = ask(uploads, "POST", path, host="me:7860", **headers)
  assert found[0] == status


def join(folder, *data):
  body = json.dumps({"data": data, "fn_index": 0}).encode()
  asked = [ask(folder, "POST", x, (body[:7], body[7:])) for x in WITH_DATA]
  assert asked[0] == asked[1]
  return asked[0][0]


def upload(path):
  return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


@pytest.mark.parametrize(
  "path",
  [
    "/",
    "/config",
    "/theme.css",
    "/assets/a-1.js",
    "/static/img/logo.svg",
    "/gradio_api/heartbeat/x1",
    "/gradio_api/queue/data",
  ],
)
def test_what_the_page_asks_for_passes(uploads, path):
  for method in ("GET", "HEAD"):
    assert ask(uploads, method, path) == (200, b"")


@pytest.mark.parametrize(
  ("method", "path"),
  [
    ("GET", "/gradio_api/proxy=https://x.hf.space/file"),
    ("GET", "/gradio_api/vibe-code"),
    ("GET", "/gradio_api/run-history/buckets"),
    ("GET", "/gradio_api/dev/reload"),
    ("GET", "/docs"),
    ("GET", "/gradio_api/openapi.json"),
    ("POST", "/gradio_api/vibe-edit"),
    ("POST", "/gradio_api/api/predict"),
    ("POST", "/gradio_api/run/other"),
    ("POST", "/gradio_api/call/predict"),
    ("POST", "/gradio_api/process_recording"),
    ("POST", "/"),
    ("PUT", "/gradio_api/upload"),
    ("OPTIONS", "/"),
  ],
)
def test_other_doors_of_the_server_are_closed(uploads, method, path):
  assert ask(uploads, method, path) == (403,)


def test_sockets_are_closed(uploads):
  assert ask(uploads, "GET", "/", kind="websocket") == (403,)


@pytest.mark.parametrize(
  "path",
  [
    SECRET,
    "README.md",
    "{folder}/../uploads.jpg",
    "{folder}.jpg",
    "{folder}/out",
    "{folder}/../../../../../../../etc/hostname",
    "http://example.com/a.jpg",
    "HTTPS://example.com/a.jpg",
    "//example.com/a.jpg",
    "file:///etc/hostname",
    "{folder}/a\0.jpg",
  ],
)
def test_no_other_file_is_named(uploads, path):
  path = path.format(folder=uploads)
  assert ask(uploads, "GET", f"/gradio_api/file={path}") == (403,)
  assert join(uploads, "Ann joins Acme", "Ann", "Acme", upload(path)) == 403
  # Anywhere, not only in a picture's place.
  assert join(uploads, upload(path), "Ann", "Acme", None) == 403
  assert join(uploads, [{"value": {"x": upload(path)}}]) == 403


def test_an_upload_is_named(uploads):
  path = uploads / "a.jpg"
  assert ask(uploads, "GET", f"/gradio_api/file={path}") == (200, b"")
  assert join(uploads, "path: http://a", "", upload(path)) == 200
  assert join(uploads, "Ann joins Acme", "Ann", "Acme", None) == 200


def test_a_post_reaches_the_app_unchanged(uploads):
  parts = [b'{"data": ', b'["\xc3\xa9"]', b"}"]
  assert ask(uploads, "POST", WITH_DATA[0], parts) == (200, b"".join(parts))


@pytest.mark.parametrize(
  "body",
  [
    b"",
    b"nonsense",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"data": [{"path": 3}]}',
    b'{"data": [{"path": ["/etc/hostname"]}]}',
    b'"' + b"x" * 4_000_000 + b'"',
  ],
)
def test_a_post_that_is_none_is_refused(uploads, body):
  assert ask(uploads, "POST", WITH_DATA[0], (body,)) == (403,)
