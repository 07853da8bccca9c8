"""A component of spaCy: the relations of a document's entities.

    nlp.add_pipe("ifa_jax", config={"workdir": "runs/objects"})
    nlp("Ann joins Acme")._.relations
    -> [{"head": Ann, "tail": Acme, "relation": "/per/org/member_of",
         "probability": 0.93}]

Every ordered pair of `doc.ents`, whatever found them, is predicted as a post of
its own (`inference.pairs`); the label of an entity is its type. `doc._.image`,
`doc._.boxes` and `doc._.caption` are those of a post, and the settings are the
flags of `ifa_jax.predict`. Needs the extra `spacy`.

spaCy imports this module with any pipeline, used or not: importing it loads
neither JAX nor the model, and sets no attribute of documents.
"""

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Span

if TYPE_CHECKING:
  from ifa_jax.inference.choose import Choice
  from ifa_jax.inference.completion import Listed
  from ifa_jax.inference.predictor import Predictor

# Fields of a post that a document may have.
_INPUTS = ("image", "boxes", "caption")
# The relations as plain values, which are written with the document.
RECORDS = "relation_records"


class RelationPipe(Pipe):
  """Writes the relations of each document's entities into `doc._`.

  `relations` is a list as in the record of a post, most probable first, with
  `head` and `tail` as spans. `relation_records` is the same as plain values,
  with `start`, `end` (characters), `type` and `name` of each entity; `to_bytes`
  keeps these, and `to_json(underscore=["relation_records"])`.
  """

  def __init__(
    self,
    name: str,
    predictor: "Predictor",
    choice: "Choice",
    listed: "Sequence[Listed]",
    batch_size: int,
  ):
    """Checks the choice, and adds the attributes of documents.

    Args:
      name: in the pipeline.
      predictor: of the run.
      choice: of relations.
      listed: boxes and captions of documents with a picture.
      batch_size: pairs per batch.

    Raises:
      ValueError: if the choice does not fit the model's relations.
    """
    choice.check(predictor.relations)
    if batch_size < 1:
      raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
    self.name = name
    self._predictor, self._choice = predictor, choice
    self._listed, self._batch_size = listed, batch_size
    self._process = os.getpid()
    _extend_documents()

  def __call__(self, doc: Doc) -> Doc:
    """Returns a document with its relations; raises ValueError as `predict`."""
    (record,) = self._predict([doc])
    return _write(doc, record)

  def pipe(
    self, stream: Iterable[Doc], *, batch_size: int | None = None
  ) -> Iterator[Doc]:
    """Yields documents in order; their pairs share batches.

    Args:
      stream: of documents.
      batch_size: of spaCy, in documents; not used.

    Raises:
      ValueError: for a document that is refused, unless spaCy has a handler of
        errors; in another process than that which loaded the model.
    """
    docs, asked = itertools.tee(stream)
    for doc, record in zip(docs, self._predict(asked), strict=True):
      try:
        _write(doc, record)
      except ValueError as error:
        self.get_error_handler()(self.name, self, [doc], error)
      else:
        yield doc
    for values in self._listed:
      values.warn_unused()

  def _predict(self, docs: Iterable[Doc]) -> Iterator[Mapping[str, Any]]:
    if os.getpid() != self._process:
      # A fork of JAX waits forever.
      raise ValueError(
        f"{self.name}: expected n_process=1, as the model runs in the process"
        " that loaded it, got a process of nlp.pipe"
      )
    posts = map(self._post, docs)
    return self._predictor.predict_all(posts, self._batch_size, self._choice)

  def _post(self, doc: Doc) -> Mapping[str, Any]:
    post = {"text": doc.text, "entities": [_entity(x) for x in doc.ents]}
    given = {key: doc._.get(key) for key in _INPUTS}
    post |= {key: value for key, value in given.items() if value is not None}
    for values in self._listed:
      post = values.complete(post)
    return post


def _extend_documents() -> None:
  """Adds the attributes that documents lack.

  Raises:
    ValueError: if the program has another attribute `relations`.
  """
  for key in _INPUTS:
    if not Doc.has_extension(key):
      Doc.set_extension(key, default=None)
  if not Doc.has_extension(RECORDS):
    Doc.set_extension("relations", getter=_relations)
    Doc.set_extension(RECORDS, default=[])


def _entity(span: Span) -> dict[str, Any]:
  """Returns an entity of a post, without the spaces around it."""
  start = span.end_char - len(span.text.lstrip())
  end = span.start_char + len(span.text.rstrip())
  kind = span.label_ or None
  return {"start": start, "end": end, "type": kind, "name": span.text}


def _write(doc: Doc, record: Mapping[str, Any]) -> Doc:
  """Writes the relations of a record; raises ValueError for an error."""
  # Nothing is wrong with an empty document.
  relations = record.get("relations", [])
  if "error" in record and len(doc.ents) > 1:
    raise ValueError(record["error"])
  doc._.set(RECORDS, [_with_entities(x, record["entities"]) for x in relations])
  return doc


def _with_entities(
  relation: Mapping[str, Any], entities: Sequence[Any]
) -> dict[str, Any]:
  roles = {role: entities[relation[role]] for role in ("head", "tail")}
  return {**relation, **roles}


def _relations(doc: Doc) -> list[dict[str, Any]]:
  """Returns the records with spans."""
  return [
    {**x, "head": _span(doc, x["head"]), "tail": _span(doc, x["tail"])}
    for x in doc._.get(RECORDS)
  ]


def _span(doc: Doc, entity: Mapping[str, Any]) -> Span | None:
  # By characters: a retokenizer may have merged tokens since.
  return doc.char_span(
    entity["start"],
    entity["end"],
    label=entity["type"] or "",
    alignment_mode="expand",
  )


@Language.factory(
  "ifa_jax",
  requires=["doc.ents"],
  assigns=["doc._.relations", f"doc._.{RECORDS}"],
  default_config={
    "workdir": None,
    "model": None,
    "boxes": None,
    "detector": None,
    "grounder": None,
    "captions": [],
    "threshold": 0.0,
    "top_k": None,
    "allowed": None,
    "symmetric": [],
    "probabilities": False,
    "batch_size": 32,
  },
)
def make(
  nlp: Language,
  name: str,
  workdir: str | None,
  model: str | None,
  boxes: str | None,
  detector: str | None,
  grounder: str | None,
  captions: list[str],
  threshold: float | str,
  top_k: int | None,
  allowed: str | None,
  symmetric: list[str],
  probabilities: bool,
  batch_size: int,
) -> RelationPipe:
  """Loads the model of a component; the settings are flags of `predict`.

  Raises:
    ValueError: for a setting or file that the command would refuse.
    OSError: if a file cannot be read.
  """
  from ifa_jax.inference import choose_flags, completion, model_flags

  if (workdir is None) == (model is None):
    raise ValueError(
      f"{name}: expected either workdir or model, got {workdir!r} and {model!r}"
    )
  choice = choose_flags.read(
    SimpleNamespace(
      threshold=threshold,
      top_k=top_k,
      allowed=allowed,
      symmetric=symmetric,
      probabilities=probabilities,
    )
  )
  listed = completion.read_listed(boxes, captions)
  predictor = model_flags.load(
    SimpleNamespace(
      workdir=workdir, model=model, detector=detector, grounder=grounder
    )
  )
  return RelationPipe(name, predictor, choice, listed, batch_size)
