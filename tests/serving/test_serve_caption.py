"""The page of a model that reads captions."""

import own_runs
import pytest
import served
import tiny_systems

from ifa_jax.inference.predictor import Predictor

pytestmark = [
  *served.needs_page_and_browser,
  pytest.mark.usefixtures("fast_compilation"),
]

TEXT = "<s> Ann </s> joins <o> Acme </o>"


@pytest.mark.parametrize("name", ["caption", "ifaformer_caption"])
def test_a_caption_is_a_field_that_counts(name, data_dir, tmp_path):
  built = tiny_systems.build(name, data_dir)
  own_runs.write(built, tiny_systems.params(built), tmp_path / "run")
  predictor = Predictor(tmp_path / "run")
  post = {"text": TEXT, "caption": "two players on a field"}
  wanted = [
    served.rounded(predictor.predict(x)) for x in (post, {"text": TEXT})
  ]
  with (
    served.running("run", predictor, tmp_path / "uploads") as address,
    served.opened(address) as page,
  ):
    body = page.inner_text("body")
    assert "reads the text and the picture's caption" in body
    # The model reads none, so the page names no source of them.
    assert "--detector" not in body
    served.fill(page, TEXT, caption=post["caption"])
    assert served.probabilities(page) == wanted[0]
    frame = page.locator("iframe")
    frame.scroll_into_view_if_needed()
    columns = frame.content_frame.locator(".map thead").first
    assert "1 two" in " ".join(columns.text_content().split())
    served.fill(page, TEXT)
    assert served.probabilities(page) == wanted[1] != wanted[0]
    shown = page.locator(".alignment").text_content()
    assert "without a caption there is nothing to align" in shown
    page.get_by_role("button", name="→").last.click()
    page.locator("iframe").wait_for()
    assert page.get_by_label("caption", exact=True).input_value()
