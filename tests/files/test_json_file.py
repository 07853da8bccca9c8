"""JSON: its value, or one line with the reason and the place."""

import pytest

from ifa_jax.files import json_file


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("text", "reason"),
  [
    (b'{"m": 1, "n": 0, "m": 2}', "expected each key .* once, got 'm' 2 times"),
    (
      b'[{"a": {"b": 1, "b": 1}}]',
      "expected each key .* once, got 'b' 2 times",
    ),
    (b'{"m": 1, "\\u006d": 2}', "expected each key .*, got 'm' 2 times"),
    (b'{\n"a": 1,\n"b": ]}', "not JSON: Expecting value: line 3, column 6"),
    (b'{"a": "\xe9"}', "not JSON: byte 0xe9 is not UTF-8: column 8"),
    (b'{"a": 1, b}\n', "not JSON: Expecting property name .*: column 10"),
    (b'{"a":\n', "not JSON: Expecting value where the text ends: column "),
  ],
)
def test_invalid_json_is_refused_in_one_line(tmp_path, text, reason):
  path = tmp_path / "x.json"
  path.write_bytes(text)
  with pytest.raises(ValueError, match=rf"x\.json: {reason}") as error:
    json_file.load(path)
  assert "\n" not in str(error.value)


@pytest.mark.silent_input
def test_a_byte_order_mark_is_ignored():
  assert json_file.parse(b'\xef\xbb\xbf{"a": 1}', "x") == {"a": 1}


def test_equal_keys_of_different_objects_are_kept():
  text = b'{"a": {"b": 1}, "c": {"b": 2, "a": 3}}'
  assert json_file.parse(text, "x") == {"a": {"b": 1}, "c": {"b": 2, "a": 3}}


@pytest.mark.silent_input
def test_strict_parsing_refuses_nan_and_infinity():
  text = '{\n"a": "NaN",\n"b": -Infinity}'
  with pytest.raises(
    ValueError, match=r"x: .*: -Infinity .*: line 3, column 6"
  ):
    json_file.parse(text, "x", strict=True)
  assert json_file.parse('["NaN"]', "x", strict=True) == ["NaN"]


def test_json_files_are_indented(tmp_path):
  path, value = tmp_path / "x.json", {"a": [1.5, None], "b": {"c": "d"}}
  json_file.write(path, value)
  text = path.read_text()
  assert json_file.load(path) == value
  assert text.startswith('{\n  "a": [\n')
  assert text.endswith("}\n")
