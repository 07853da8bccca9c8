"""The local page of `python -m ifa_jax.serve`, and a component of spaCy.

answers    the form's post to the contents of the page
view       answers to HTML, by answer.html.j2 and page.css
samples    generated posts to click on
page       the Gradio page and its server
gate       a filter that admits only the page's own requests

spacy_component    relations of the entities of spaCy's documents
"""
