"""Folders for brat, read by a small parser of its format."""

import re

import pytest

from ifa_jax.inference import brat

RELATIONS = ("None", "/per/org/member_of", "/per/per/couple", "other")


def read(path):
  """Returns the entities and relations of NAME.ann, checked against NAME.txt.

  Source: https://brat.nlplab.org/standoff.html.
  """
  text = path.with_suffix(".txt").read_text(encoding="utf-8")
  entities, relations = {}, []
  for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n"):
    key, middle, *words = line.split("\t")
    if key.startswith("T"):
      kind, offsets = middle.split(" ", 1)
      spans = [[int(x) for x in part.split()] for part in offsets.split(";")]
      parts = [text[begin:end] for begin, end in spans]
      assert words == [" ".join(parts)]
      assert all(part and "\n" not in part for part in parts)
      assert spans == sorted(spans)
      entities[key] = (kind, words[0])
    else:
      assert re.fullmatch(r"R\d+", key)
      kind, *roles = middle.split(" ")
      assert [role.split(":")[0] for role in roles] == ["Arg1", "Arg2"]
      relations.append((kind, *(entities[x.split(":")[1]] for x in roles)))
    assert re.fullmatch(r"[A-Za-z0-9_-]+", kind)
  return entities, relations


def post(text, spans, relations=(), **more):
  entities = [
    {"start": begin, "end": end, "type": kind} for begin, end, kind in spans
  ]
  listed = [{"head": h, "tail": t, "relation": r} for h, t, r in relations]
  return {"text": text, "entities": entities, "relations": listed, **more}


def test_a_folder_has_the_texts_entities_and_relations(tmp_path):
  folder = tmp_path / "brat"
  text = "\U0001f600 Ann\r\nLee\tjoins Acme"
  spans = [(2, 10, "per/x"), (17, 21, None)]
  with brat.writing(str(folder), RELATIONS) as write:
    write(post(text, spans, [(0, 1, RELATIONS[1])], id="../a b"))
    write(post("Bob left", [(0, 3, "per")], id="../a b"))
    write(post("Bob left", [(0, 3, "per")]))
    write(post("Bob left", [(0, 3, "per")], id=None))
    write(post("Bob left", [(0, 3, "per")], id="推文"))
    write({"text": "Bob", "error": "text: expected"})
  names = sorted(path.name for path in folder.glob("*.ann"))
  assert names == ["3.ann", "4.ann", "5.ann", "___a_b-2.ann", "___a_b.ann"]
  entities, relations = read(folder / "___a_b.ann")
  assert entities == {"T1": ("per_x", "Ann Lee"), "T2": ("Entity", "Acme")}
  assert relations == [("per_org_member_of", *entities.values())]
  assert (folder / brat.CONFIG).read_text() == (
    "[entities]\nEntity\norg\nper\nper_x\n\n[relations]\n"
    "per_org_member_of\tArg1:per|per_x, Arg2:Entity|org\n"
    "per_per_couple\tArg1:per, Arg2:per\n"
    "other\tArg1:<ENTITY>, Arg2:<ENTITY>\n\n[events]\n\n[attributes]\n"
  )


def test_the_negative_class_is_no_relation_of_brat_in_any_case(tmp_path):
  with brat.writing(str(tmp_path), ("none", "/per/per/couple")) as write:
    write(post("Bob left", [(0, 3, "per")]))
  config = (tmp_path / brat.CONFIG).read_text()
  assert config.split("[relations]\n")[1].startswith("per_per_couple\t")


@pytest.mark.silent_input
def test_relations_that_brat_would_mix_up_are_refused(tmp_path):
  with (
    pytest.raises(ValueError, match=r"^brat: expected relations that differ"),
    brat.writing(str(tmp_path), ("None", "/a/b", "a:b")),
  ):
    pass


def test_a_folder_with_files_is_refused(tmp_path):
  (tmp_path / "old.ann").touch()
  with pytest.raises(ValueError, match="new or empty folder"):
    brat.check_folder(str(tmp_path))
