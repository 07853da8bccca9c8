"""The component of spaCy, as `predict` with the same entities by offsets."""

import json
import logging
import re

import command_lines
import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span

from ifa_jax.inference.choose import Choice

pytestmark = pytest.mark.usefixtures("fast_compilation")

PATTERNS = [
  {"label": "per", "pattern": [{"LOWER": "ann"}, {"LOWER": "lee"}]},
  {"label": "per", "pattern": "Jose\u0301"},
  {"label": "org", "pattern": "Acme"},
  {"label": "loc", "pattern": "Rome"},
]
TEXTS = [
  "Ann Lee, of Acme, joins Jose\u0301 in Rome",
  "\U0001f600 Ann Lee\u2019s   Acme\r\nis in   Rome\U0001f468\u200d\U0001f469",
  "Nothing here",
  "Only Acme",
  "",
  "Rome and Acme",
]
# No pair of entities with types is then without a relation.
EVERY = {"None": [[], []]}


def pipeline(workdir, **settings):
  nlp = spacy.blank("en")
  nlp.add_pipe("entity_ruler").add_patterns(PATTERNS)
  nlp.add_pipe("ifa_jax", config={"workdir": str(workdir), **settings})
  return nlp


@pytest.fixture(scope="module", name="registered", autouse=True)
def component_without_an_installed_wheel():
  import ifa_jax.serving.spacy_component  # noqa: F401


@pytest.fixture(scope="module", name="every")
def settings_that_list_all_pairs(tmp_path_factory):
  path = tmp_path_factory.mktemp("allowed") / "none.json"
  path.write_text(json.dumps(EVERY))
  return {"allowed": str(path), "probabilities": True}


@pytest.fixture(scope="module", name="nlp")
def pipeline_that_lists_all_pairs(finished, every, fast_compilation):
  return pipeline(finished.workdir, **every)


def by_offsets(doc):
  """The post of a document, its entities found by their words again."""
  entities, begin = [], 0
  for ent in doc.ents:
    begin = doc.text.index(ent.text, begin)
    end = begin + len(ent.text)
    entities.append({"start": begin, "end": end, "type": ent.label_})
  return {"text": doc.text, "entities": entities}


def plain(doc):
  """The relations of a document by pair, the indices of its entities."""
  ents = [*doc.ents]
  return by_pair(
    {**x, "head": ents.index(x["head"]), "tail": ents.index(x["tail"])}
    for x in doc._.relations
  )


def by_pair(relations):
  return sorted(relations, key=lambda x: (x["head"], x["tail"]))


def close(found):
  """Relations whose numbers may differ by a digit in another batch."""
  return [
    {
      k: pytest.approx(v, abs=2e-6) if k.startswith("prob") else v
      for k, v in relation.items()
    }
    for relation in by_pair(found)
  ]


def test_relations_are_those_of_predict(nlp, predictor):
  choice, counts = Choice(allowed=EVERY, probabilities=True), []
  for text in TEXTS:
    doc = nlp(text)
    counts.append(len(doc.ents))
    if len(doc.ents) > 1:
      wanted = predictor.predict(by_offsets(doc), choice)["relations"]
      assert plain(doc) == close(wanted)
      ranked = [x["probability"] for x in doc._.relations]
      assert ranked == sorted(ranked, reverse=True)
      assert len(wanted) == counts[-1] * (counts[-1] - 1)
    else:
      assert doc._.relations == []
  assert counts == [4, 3, 0, 1, 0, 2]


def test_a_pipe_gives_what_each_document_gives(nlp):
  docs = list(nlp.pipe(TEXTS * 2, batch_size=3))
  assert [doc.text for doc in docs] == TEXTS * 2
  for text, doc in zip(TEXTS * 2, docs, strict=True):
    assert plain(doc) == close(plain(nlp(text)))


def test_heads_and_tails_are_spans_with_labels_after_merging_too(nlp):
  doc = nlp(TEXTS[0])
  before = [(str(x["head"]), x["head"].label_) for x in doc._.relations]
  assert ("Ann Lee", "per") in before
  with doc.retokenize() as retokenizer:
    retokenizer.merge(doc.ents[0])
  assert before == [(str(x["head"]), x["head"].label_) for x in doc._.relations]


def test_relations_are_written_with_the_document(nlp):
  doc = nlp(TEXTS[0])
  again = Doc(nlp.vocab).from_bytes(doc.to_bytes())
  assert plain(again) == plain(doc) != []
  stored = DocBin(store_user_data=True, docs=[doc])
  (again,) = stored.get_docs(nlp.vocab)
  assert plain(again) == plain(doc)
  shown = json.loads(json.dumps(doc.to_json(underscore=["relation_records"])))
  (first, *_) = shown["_"]["relation_records"]
  assert [*first] == [
    *("head", "tail", "relation", "probability", "probabilities")
  ]
  head = first["head"]
  assert doc.text[head["start"] : head["end"]] == head["name"]


def test_a_pipeline_is_written_and_loaded_with_its_settings(nlp, tmp_path):
  nlp.to_disk(tmp_path / "pipeline")
  again = spacy.load(tmp_path / "pipeline")
  assert plain(again(TEXTS[0])) == plain(nlp(TEXTS[0]))
  assigned = again.analyze_pipes()["summary"]["ifa_jax"]["assigns"]
  assert "doc._.relations" in assigned


def test_pictures_boxes_and_captions_are_those_of_the_document(
  nlp, predictor, posts
):
  doc = nlp.make_doc(TEXTS[0])
  seen = {key: posts[0][key] for key in ("image", "boxes", "caption")}
  for key, value in seen.items():
    doc._.set(key, value)
  choice = Choice(allowed=EVERY, probabilities=True)
  wanted = predictor.predict(by_offsets(nlp(TEXTS[0])) | seen, choice)
  assert plain(nlp(doc)) == close(wanted["relations"])
  assert plain(doc) != close(plain(nlp(TEXTS[0])))


def test_boxes_are_listed_by_the_picture(finished, every, raw_dir, posts, nlp):
  listing = pipeline(
    finished.workdir, boxes=str(raw_dir / "boxes.json"), **every
  )
  given, bare = nlp.make_doc(TEXTS[0]), listing.make_doc(TEXTS[0])
  bare._.image = given._.image = posts[0]["image"]
  given._.boxes = posts[0]["boxes"]
  assert plain(listing(bare)) == plain(nlp(given))


def test_settings_are_those_of_the_command(finished, predictor, tmp_path):
  thresholds = tmp_path / "thresholds.json"
  relations = [x for x in predictor.relations if x != "None"]
  thresholds.write_text(json.dumps({relations[0]: 0.9}))
  settings = {"top_k": 2, "allowed": "names", "symmetric": relations}
  doc = pipeline(finished.workdir, threshold=str(thresholds), **settings)(
    TEXTS[0]
  )
  choice = Choice({relations[0]: 0.9}, **settings)
  wanted = predictor.predict(by_offsets(doc), choice)["relations"]
  assert plain(doc) == close(wanted)


@pytest.mark.silent_input
@pytest.mark.parametrize(
  ("settings", "message"),
  [
    ({"workdir": "gone"}, "gone: expected a run's folder"),
    ({"workdir": None}, "ifa_jax: expected either workdir or model, got None"),
    ({"model": "shared"}, "ifa_jax: expected either workdir or model"),
    ({"threshold": 50}, "threshold: expected a number from 0 to 1"),
    ({"threshold": "gone.json"}, "gone.json"),
    ({"top_k": 0}, "top_k: expected at least 1, got 0"),
    ({"allowed": "gone.json"}, "gone.json"),
    ({"symmetric": ["couple"]}, "symmetric: expected relations of the model"),
    ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
    ({"captions": ["gone.json"]}, "gone.json"),
    ({"top": 3}, "unexpected argument: 'top'"),
    ({"top_k": "many"}, "top_k"),
  ],
)
def test_wrong_settings_are_refused(finished, settings, message):
  nlp, given = spacy.blank("en"), {"workdir": str(finished.workdir), **settings}
  with pytest.raises((ValueError, OSError)) as error:
    nlp.add_pipe("ifa_jax", config=given)
  assert message in str(error.value)


def test_a_document_that_is_refused_is_given_to_the_handler(nlp):
  bad, good = nlp.make_doc("Ann  Lee"), nlp(TEXTS[-1])
  assert bad[1].is_space
  bad.ents = [Span(bad, 0, 1, "per"), Span(bad, 1, 2, "per")]
  message = r"entities\[1\].name: expected a text, got ' '"
  component = nlp.get_pipe("ifa_jax")
  with pytest.raises(ValueError, match=message):
    component(bad)
  with pytest.raises(ValueError, match=message):
    list(component.pipe([bad]))
  failed = []
  component.set_error_handler(lambda *given: failed.append(given))
  try:
    assert list(component.pipe([bad, good])) == [good]
  finally:
    component.set_error_handler(spacy.util.raise_error)
  ((name, proc, docs, error),) = failed
  assert (name, proc, docs) == ("ifa_jax", component, [bad])
  assert isinstance(error, ValueError)


def test_the_documented_pipeline_prints_relations(finished, posts, capsys):
  page = (command_lines.ROOT / "docs" / "posts.md").read_text()
  pattern = r"<!-- example: spacy -->\n```python\n(.*?)```"
  code = re.search(pattern, page, re.DOTALL)[1]
  code = code.replace("runs/mnre/objects", str(finished.workdir))
  exec(code.replace("ann.jpg", posts[0]["image"]), {})
  printed = capsys.readouterr().out.splitlines()
  assert printed
  for line in printed:
    assert re.fullmatch(
      r"(Ann /per/org/\w+ Acme|Acme /org\S+ Ann) 0\.\d+", line
    )


@pytest.mark.silent_input
def test_an_attribute_of_the_program_is_not_taken(finished, nlp):
  ours = Doc.remove_extension("relation_records")
  try:
    with pytest.raises(ValueError, match="'relations' already exists"):
      pipeline(finished.workdir)
  finally:
    Doc.set_extension("relation_records", default=ours[0])


def test_another_process_is_refused_and_not_waited_for(nlp, monkeypatch):
  doc = nlp(TEXTS[0])
  monkeypatch.setattr("os.getpid", lambda: 0)
  with pytest.raises(ValueError, match="ifa_jax: expected n_process=1"):
    list(nlp.get_pipe("ifa_jax").pipe([doc]))


def test_spaces_around_an_entity_are_no_part_of_it(nlp):
  wide, narrow = (nlp.make_doc("Ann  joins Acme") for _ in range(2))
  wide.ents = [Span(wide, 0, 2, "per"), Span(wide, 3, 4, "org")]
  narrow.ents = [Span(narrow, 0, 1, "per"), Span(narrow, 3, 4, "org")]
  component = nlp.get_pipe("ifa_jax")
  found = component(wide)._.relations
  assert [str(x["head"]) for x in found] == [
    str(x["head"]) for x in component(narrow)._.relations
  ]
  assert wide._.relation_records == narrow._.relation_records


@pytest.mark.silent_input
def test_labels_that_no_relation_allows_get_one_warning(finished, caplog):
  nlp = pipeline(finished.workdir, allowed="names")
  doc = nlp.make_doc("Ann joins Acme")
  doc.ents = [Span(doc, 0, 1, "PERSON"), Span(doc, 2, 3, "org")]
  with caplog.at_level(logging.WARNING, "ifa_jax"):
    for _ in range(2):
      nlp.get_pipe("ifa_jax")(doc)
  (line,) = [x for x in caplog.messages if x.startswith("allowed")]
  assert "got 'PERSON': none of" in line
