"""The local page of `python -m ifa_jax.serve`.

form       what somebody filled in, as a post
answers    a post to what the page shows of it
view       answers to HTML; answer.html.j2 and page.css are its looks
samples    generated posts to click on
page       the Gradio page and its server
gate       what of the server is there for a browser: the page's own requests
"""
