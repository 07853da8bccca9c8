"""Marked texts: the entities are found, or an error names the mark."""

import pytest

from ifa_jax.inference.post import read_post

MARKED = {
  "<s> Ann </s> joins <o> Acme </o> .": "[Ann] joins {Acme} .",
  "<o>Acme</o>: <s>Ann Lee</s>!": "{Acme} : [Ann Lee] !",
  "<s> New <o> York </o> City </s>": "[New {York} City]",
  "<o>New <s>York City </o>Marathon</s>": "{New [York City} Marathon]",
  "<s><o>Rome</o></s>": "{[Rome]}",
  "via@<s>Ann</s>Lee <o> 🎉</o>": "via@ [Ann] Lee {🎉}",
}


@pytest.mark.parametrize(("text", "wanted"), MARKED.items())
@pytest.mark.parametrize("form", [str, str.split], ids=["text", "words"])
def test_marked_entities_are_found(text, wanted, form):
  post = read_post({"text": form(text)})
  words = list(post.words)
  for (begin, end), (opening, closing) in (
    (post.head, "[]"),
    (post.tail, "{}"),
  ):
    words[begin] = opening + words[begin]
    words[end - 1] += closing
  assert " ".join(words) == wanted
  again = dict(zip(("head", "tail"), post.names, strict=True))
  assert read_post({"text": text} | again) == post


def test_marks_choose_the_place_of_a_name_that_occurs_twice():
  found = read_post({"text": "Ann and <s>Ann</s> at <o>Acme</o>"})
  assert found.head == (2, 3)


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    ("Ann at Acme", "head, tail: expected two names in the text, or a text m"),
    ("<s>Ann</s> at Acme", "text: expected the mark <o> once, got it 0 times"),
    ("<s>Ann at <o>Acme</o>", "text: expected the mark </s> once, got it 0"),
    (
      "<s>A</s> <s>B</s> <o>C</o>",
      "text: expected the mark <s> once, got it",
    ),
    (
      "</s>Ann<s> at <o>Acme</o>",
      "text: expected an entity after <s> and",
    ),
    (
      "<s>Ann</s> at <o> </o>",
      "text: expected an entity after <o> and before </o>",
    ),
    (
      ("<s>Ann</s> <o>B</o>", "head", "Bob"),
      "head: expected 'Ann', which the text",
    ),
    (
      ("<s>Ann</s> <o>B</o>", "tail", "<o>"),
      "tail: expected 'B', which the text",
    ),
    (
      ("<s>A</s> <o>B</o>", "head_span", [0, 1]),
      "head_span: expected none with",
    ),
    (
      ("<s>Ann</s> at Acme", "head", "Ann"),
      "tail: expected a name in the text",
    ),
  ],
)
def test_marks_that_do_not_fit_are_named(fields, message):
  if isinstance(fields, str):
    fields = (fields, "head", None)
  text, key, value = fields
  with pytest.raises(ValueError, match=message):
    read_post({"text": text, key: value})


def test_marks_are_characters_in_a_text_that_is_not_marked():
  text = "a <s>strike</s> of <o> Ann at Acme"
  found = read_post({"text": text, "head": "Ann", "tail": "Acme"})
  assert " ".join(found.words) == text
  assert found.names == ("Ann", "Acme")
