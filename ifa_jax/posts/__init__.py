"""Posts of one's own: a text with two entities in it, and maybe a picture.

    {"text": "Ann joins Acme today .", "head": "Ann", "tail": "Acme",
     "image": "ann.jpg", "boxes": [{"box": [0, 0, 90, 80], "score": 0.9}]}
    {"text": "<s> Ann </s> joins <o> Acme </o> today ."}

`head` and `tail` are found in the text, or marked in it (`text_marks`). Where a
name occurs more than once, `head_span` or `tail_span` gives the [begin, end)
offsets of the words that it stands in. Words are what stands between spaces:
the span 0:1 of "Ann, of Acme" alone is "Ann,", and with the name "Ann" beside
it is "Ann". `text` may be a list of words.

A text that holds each of <s> </s> <o> </o> once is a marked one, and names that
are given beside must be those marked. In any other text with names or spans
these are characters like any.

`image` is a file (see `picture_files`), `boxes` are those of
`ifa_jax.data.boxes`; both may be left out. Any other key is kept and handed
back, so an `id` is.

post           the text and its entities, found or marked (text_marks)
picture_files  its picture; picture_boxes the objects in it, listed or found
json_lines     files of posts and of predictions
examples       a post as a run's model reads it; post_scenes for regions
seen_kinds     what a run saw that posts may lack
"""
