"""JSON lines of posts and records: whatever a line holds, and however long."""

import io
import json
import logging
import re
import sys
import types

import pytest

from ifa_jax.inference import jsonl


def read(*lines):
  return list(jsonl.read(io.BytesIO(b"\n".join(lines))))


def test_each_line_that_is_not_blank_is_a_post():
  posts = read(b'{"a": 1}', b"", b"  \r", b'{"a": 2}\r', '{"a": "é"}'.encode())
  assert posts == [{"a": 1}, {"a": 2}, {"a": "é"}]
  assert read(b'\xef\xbb\xbf{"a": 1}') == [{"a": 1}]
  assert read() == []


@pytest.mark.parametrize(
  ("line", "shown", "reason"),
  [
    (b'{"a": ', '{"a":', "not JSON: Expecting value where the text ends: col"),
    (b"[", "[", "not JSON: Expecting value where the text ends: column 2"),
    (b'["a"]', '["a"]', "expected a JSON object, got a list"),
    (b"null", "null", "expected a JSON object, got a NoneType"),
    (b'{"a": NaN}', '{"a": NaN}', "not JSON: NaN is no number: column 7"),
    (
      b'{"a": "NaN \\"", "b": -Infinity}',
      '{"a": "NaN \\"", "b": -Infinity}',
      "not JSON: -Infinity is no number: column 22",
    ),
    (
      b'{"\xc3\xa9": "\xff"}',
      '{"é": "\ufffd"}',
      "not JSON: byte 0xff is not UTF-8: column 8",
    ),
    (
      b'{"a": 1, b}',
      '{"a": 1, b}',
      "not JSON: Expecting property name .*: col.* 10",
    ),
    (b"{'a': 1}", "{'a': 1}", "not JSON: Expecting property name .*: col.* 2"),
    (b'{"a": 1} {', '{"a": 1} {', "not JSON: Extra data: column 10"),
    (b"[" * 100_000, "[" * 200, "not JSON: maximum recursion depth"),
    (b"9" * 5_000, "9" * 200, "not JSON: Exceeds the limit"),
    (
      b'{"head": "Ann", "head": "Bob"}',
      '{"head": "Ann", "head": "Bob"}',
      "expected each key of an object once, got 'head' 2 times",
    ),
  ],
)
@pytest.mark.silent_input
def test_a_line_that_is_no_object_is_shown_with_the_reason(line, shown, reason):
  first, found, last = read(b'{"a": 1}', b"", line, b'{"a": 2}')
  assert (first, last) == ({"a": 1}, {"a": 2})
  assert found.keys() == {"line", "not_json", "reason"}
  assert (found["line"], found["not_json"]) == (3, shown)
  assert re.match(f"line 3: {reason}", found["reason"])


def test_of_a_line_that_is_too_long_only_the_start_is_read(monkeypatch):
  monkeypatch.setattr(jsonl, "MAX_BYTES", 40)
  fits = json.dumps({"a": "x" * 31}).encode()
  assert len(fits) == 40
  long = json.dumps({"a": "y" * 500}).encode()
  shown = {"line": 2, "not_json": long[:41].decode()}
  shown["reason"] = "line 2: longer than 0 MB"
  assert read(fits, long, fits) == [json.loads(fits), shown, json.loads(fits)]
  assert read(fits, long) == [json.loads(fits), shown]


def test_lines_are_read_when_their_turn_comes():
  file = io.BytesIO(b'{"a": 1}\n' * 100)
  posts = jsonl.read(file)
  next(posts)
  assert file.tell() == 9


def test_a_file_appears_when_all_is_written(tmp_path):
  target = tmp_path / "out.jsonl"
  with jsonl.writing(str(target)) as write:
    write({"a": "é\ud83d"})
    assert not target.exists()
  assert target.read_bytes() == b'{"a": "\xc3\xa9\\ud83d"}\n'
  assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("count", [0, 2])
def test_what_a_stopped_writing_leaves_is_told(tmp_path, caplog, count):
  target = tmp_path / "out.jsonl"
  target.write_text("earlier\n")
  caplog.set_level(logging.INFO, "ifa_jax")

  def stop_after(write):
    for number in range(count):
      write({"number": number})
    raise KeyboardInterrupt

  with (
    pytest.raises(KeyboardInterrupt),
    jsonl.writing(str(target)) as write,
  ):
    stop_after(write)
  assert target.read_text() == "earlier\n"
  partial = tmp_path / "out.jsonl.partial"
  assert partial.exists() == bool(count)
  told = [f"{partial}: holds the first 2 records"] if count else []
  assert caplog.messages == told
  if count:
    assert partial.read_text() == '{"number": 0}\n{"number": 1}\n'


def test_a_dash_is_the_standard_input_and_output(monkeypatch, capsys):
  stdin = types.SimpleNamespace(buffer=io.BytesIO(b'{"a": 1}\n'))
  monkeypatch.setattr(sys, "stdin", stdin)
  with jsonl.reading("-") as posts, jsonl.writing("-") as write:
    for post in posts:
      write(post)
  assert capsys.readouterr().out == '{"a": 1}\n'
