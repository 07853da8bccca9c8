"""The lock file pins all that runs need, by version and by hash."""

import re

import command_lines
from packaging.requirements import Requirement

ROOT = command_lines.ROOT


def read(name):
  """Returns the requirements of a file, each with its hashes."""
  text = (ROOT / name).read_text().replace("\\\n", " ")
  lines = [line.partition(" --hash=") for line in text.splitlines()]
  return {
    line.strip(): hashes.split(" --hash=")
    for line, _, hashes in lines
    if line.strip() and not line.startswith("#")
  }


def versions(lines):
  """Returns (name, pin) of each requirement, whatever Python it is for."""
  found = map(Requirement, lines)
  return {(x.name.replace("_", "-").lower(), str(x.specifier)) for x in found}


def test_every_file_is_known_by_its_hash():
  locked = read("requirements.lock")
  assert len(locked) > 80
  for line, hashes in locked.items():
    assert re.match(r"[a-z0-9.-]+==[0-9][^ ]*( ; |$)", line), line
    for value in hashes:
      assert re.fullmatch(r"sha256:[0-9a-f]{64}", value.strip()), line


def test_no_registry_is_named():
  text = (ROOT / "requirements.lock").read_text()
  assert "://" not in text
  assert "index" not in text


def test_its_versions_are_those_of_the_constraints():
  locked = versions(read("requirements.lock"))
  assert locked <= versions(read("constraints.txt"))
  wanted = {name for name, _ in versions(read("requirements.txt"))}
  assert wanted <= {name for name, _ in locked}
