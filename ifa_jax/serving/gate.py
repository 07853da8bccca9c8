"""What the page's server is asked for: the page's own requests, and no others.

Gradio's server does more than a page needs: it fetches addresses that a request
names, for whoever asks, and keeps doors open that its own pages never use.
"""

import json
import os
import re
from collections.abc import Iterator
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_API = "/gradio_api"
# Posts, and clicks on a sample.
_WITH_DATA = (f"{_API}/queue/join", f"{_API}/run/predict")
_FILE = f"{_API}/file="
# What a browser asks for that shows the page and sends posts.
_ASKED = {
  "GET": re.compile(
    r"/|/(config|theme\.css|favicon\.ico|manifest\.json|pwa_icon|robots\.txt)"
    rf"|/(assets|static|svelte)/.+|{_API}/(app_id|info|startup-events)"
    rf"|{_API}/heartbeat/\w+|{_API}/queue/data|{_API}/upload_progress"
    rf"|{_FILE}.+",
    re.DOTALL,
  ),
  "POST": re.compile(rf"{'|'.join(_WITH_DATA)}|{_API}/(upload|cancel|reset)"),
}
_ASKED["HEAD"] = _ASKED["GET"]
# Far more than the longest text; pictures go another way.
_MOST_BYTES = 4_000_000


class Gate:
  """ASGI middleware that lets through what the page asks for."""

  def __init__(self, app: ASGIApp, folder: str | os.PathLike):
    """Takes the app behind it, and the folder of files that may be named."""
    self._app = app
    self._folder = os.path.realpath(folder)

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers 403 itself, or leaves the answer to the app."""
    if scope["type"] == "lifespan":
      return await self._app(scope, receive, send)
    passes = scope["type"] == "http" and self._is_asked(scope)
    if passes and scope["path"] in _WITH_DATA:
      body = await _read(receive)
      receive = _repeat(body, receive)
      passes = body is not None and self._names_uploads(body)
    app = self._app if passes else PlainTextResponse("not served", 403)
    await app(scope, receive, send)

  def _is_asked(self, scope: Scope) -> bool:
    known, path = _ASKED.get(scope["method"]), scope["path"]
    if known is None or known.fullmatch(path) is None:
      return False
    return not path.startswith(_FILE) or self._holds(path[len(_FILE) :])

  def _names_uploads(self, body: bytes) -> bool:
    """Whether each file that a post names is one of the folder."""
    try:
      return all(map(self._holds, _named_files(json.loads(body))))
    except (ValueError, RecursionError):
      return False

  def _holds(self, path: Any) -> bool:
    """Whether it is an absolute path below the folder."""
    if not isinstance(path, str) or "\0" in path or not os.path.isabs(path):
      return False
    real = os.path.realpath(path)
    return os.path.commonpath([real, self._folder]) == self._folder


def _named_files(value: Any) -> Iterator[Any]:
  """Yields each `path` of nested JSON, whatever it is."""
  if isinstance(value, dict):
    if "path" in value:
      yield value["path"]
    value = [*value.values()]
  if isinstance(value, list):
    for part in value:
      yield from _named_files(part)


async def _read(receive: Receive) -> bytes | None:
  """Returns the body of a request, None if it is too long or ends early."""
  parts, size, more = [], 0, True
  while more:
    message = await receive()
    parts.append(message.get("body", b""))
    size += len(parts[-1])
    if message["type"] != "http.request" or size > _MOST_BYTES:
      return None
    more = message.get("more_body", False)
  return b"".join(parts)


def _repeat(body: bytes | None, receive: Receive) -> Receive:
  """Returns what gives a body that was read, and then what comes behind."""
  read = [{"type": "http.request", "body": body or b"", "more_body": False}]

  async def again() -> Message:
    return read.pop() if read else await receive()

  return again
