"""Admits only the requests that the page itself makes.

Gradio's server does more than a page needs: it fetches URLs named in a request,
for any client, and has endpoints that its own pages never use.
"""

import json
import os
import re
from collections.abc import Iterator
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_API = "/gradio_api"
# Posts, and clicks on a sample.
_WITH_DATA = (f"{_API}/queue/join", f"{_API}/run/predict")
_FILE = f"{_API}/file="
# Requests of a browser that shows the page and sends posts.
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
# Far more than the longest text; pictures are uploaded separately.
_MOST_BYTES = 4_000_000


class Gate:
  """ASGI middleware that passes on only the page's own requests."""

  def __init__(self, app: ASGIApp, folder: str | os.PathLike):
    """Wraps an app; requests may name only files in `folder`."""
    self._app = app
    self._folder = os.path.realpath(folder)

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers 403, or passes the request on."""
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
    method, path = scope["method"], scope["path"]
    known = _ASKED.get(method)
    if known is None or known.fullmatch(path) is None:
      return False
    if method == "POST" and _is_foreign(Headers(scope=scope)):
      return False
    return not path.startswith(_FILE) or self._holds(path[len(_FILE) :])

  def _names_uploads(self, body: bytes) -> bool:
    """Returns whether each file that a post names is in the folder."""
    try:
      return all(map(self._holds, _named_files(json.loads(body))))
    except (ValueError, RecursionError):
      return False

  def _holds(self, path: Any) -> bool:
    """Returns whether a path is absolute and in the folder."""
    if not isinstance(path, str) or "\0" in path or not os.path.isabs(path):
      return False
    real = os.path.realpath(path)
    return os.path.commonpath([real, self._folder]) == self._folder


def _is_foreign(headers: Headers) -> bool:
  """Returns whether a browser sent a request from the page of another site."""
  # Browsers leave the first one out on plain HTTP, unless the server is on the
  # same machine.
  if site := headers.get("sec-fetch-site"):
    return site not in ("same-origin", "none")
  if origin := headers.get("origin"):
    # A proxy may replace the host. Pages of other sites cannot set its header.
    hosts = headers.get("x-forwarded-host"), headers.get("host")
    return origin.partition("://")[2] not in hosts
  return False


def _named_files(value: Any) -> Iterator[Any]:
  """Yields each `path` in nested JSON, of any type."""
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
  """Returns a `receive` that first returns a body that has been read."""
  read = [{"type": "http.request", "body": body or b"", "more_body": False}]

  async def again() -> Message:
    return read.pop() if read else await receive()

  return again
