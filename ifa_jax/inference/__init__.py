"""Predictions for your own posts: a text, two entities in it, maybe a picture.

    {"text": "Ann joins Acme today .", "head": "Ann", "tail": "Acme",
     "image": "ann.jpg", "boxes": [{"box": [0, 0, 90, 80], "score": 0.9}]}
    {"text": "<s> Ann </s> joins <o> Acme </o> today ."}

`head` and `tail` are marked in the text or found in it between word boundaries
(anywhere in scripts without spaces, such as Chinese, Japanese and Thai). If a
name occurs more than once, `head_span` or `tail_span` chooses by [begin, end)
offsets of words, which are separated by spaces: the span 0:1 of "Ann, of Acme"
is "Ann,", and "Ann" if the name "Ann" is given as well. `text` may be a list of
words.

A text that contains each of <s> </s> <o> </o> once is marked, and given names
must be the marked ones. In any other text with names or spans, these are
ordinary characters.

`image` is a file (see `images`), `boxes` are those of `data.images.boxes`, and
`caption` is the picture in words, for models that read it; all are optional.
Any other key is returned with the prediction. A post's own `relation`,
`probability`, `probabilities` and `protocol` are returned in `given`, unless
the post is itself the record of a prediction.

A post with `entities` (see `pairs`) instead of head and tail gets `relations`
of all pairs.

    predictor       the class `Predictor`
    predict_step    a batch of posts to probabilities
    reader          a post as model inputs; scenes for regions
    post            the text and its entities, found or marked
    pairs           entities by their offsets, and the pairs of them
    questions       posts as pairs to predict, grouped by picture
    answers         probabilities of questions, joined to records of posts
    choose          the relations of a post among those of its pairs
    choose_flags    flags of this choice
    brat            records as a folder for the annotation tool brat
    records         a prediction or an error, with the post's own keys
    images          the picture
    completion      boxes and captions for posts without any
    jsonl           files of posts and of predictions
    seen_kinds      kinds of inputs of a model, in training and in posts
    model_flags     flags that name a model and its boxes
    sharing/        models as folders that the Hugging Face hub understands
"""
