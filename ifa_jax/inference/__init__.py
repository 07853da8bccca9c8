"""Posts of one's own: a text with two entities in it, and maybe a picture.

    {"text": "Ann joins Acme today .", "head": "Ann", "tail": "Acme",
     "image": "ann.jpg", "boxes": [{"box": [0, 0, 90, 80], "score": 0.9}]}
    {"text": "<s> Ann </s> joins <o> Acme </o> today ."}

`head` and `tail` are found in the text between the ends of words, in Chinese,
Japanese, Thai and the like anywhere, or marked in it. Where a name occurs more
than once, `head_span` or `tail_span` gives the [begin, end) offsets of the
words that it stands in. Words are what stands between spaces: the span 0:1 of
"Ann, of Acme" alone is "Ann,", and with the name "Ann" beside it is "Ann".
`text` may be a list of words.

A text that holds each of <s> </s> <o> </o> once is a marked one, and names that
are given beside must be those marked. In any other text with names or spans
these are characters like any.

`image` is a file (see `images`), `boxes` are those of
`data.images.boxes`; both may be left out. Any other key is kept and handed
back, so an `id` is. A post's own `relation`, `probability`, `probabilities` and
`protocol` come back in `given`, unless the post is a record of a prediction.

    predictor       the class `Predictor`
    predict_step    a batch of posts to probabilities
    reader          a post as a model reads it; scenes for regions
    post            the text and its entities, found or marked
    kept            what a record keeps of its post
    images          its picture; boxes: the objects in it, listed or found
    jsonl           files of posts and of predictions
    seen_kinds      kinds of inputs that a model had in training
    model_flags     the flags that name a model
    sharing/        models as folders that the Hugging Face hub understands
"""
