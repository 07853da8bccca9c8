# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # ifa_jax in ten minutes
#
# Multimodal relation extraction: given a post's text, two entities in it and its
# picture, name the relation between the two. This notebook prepares a small
# generated dataset, trains IFAformer on it, predicts a post, shuffles the pictures
# to measure their influence, and draws the attention of each word. It runs on a CPU;
# nothing is downloaded but packages.
#
# On Colab, set `PACKAGE` to a wheel that you uploaded, or to
# `git+https://github.com/OWNER/ifa_jax`.

# %%
import importlib.util

PACKAGE = ""
if importlib.util.find_spec("ifa_jax") is None:
  assert PACKAGE, "Set PACKAGE to a wheel, or to the address of a repository."
  print("Installing", PACKAGE)
  # %pip install --quiet {PACKAGE}

# %% tags=["parameters"]
# Sizes of the splits: a few minutes on two CPU cores. Smaller numbers are faster,
# but the model learns less.
NUM_TRAIN, NUM_DEV, NUM_TEST = 3600, 300, 1200
TRAINING = ""  # further settings, e.g. --config.train.total_epochs=2

# %% [markdown]
# ## Prepare
#
# `ifa-prepare quickstart` generates posts in the files of the MNRE dataset.
# `ifa-prepare mnre` turns such a folder into TFRecord shards. The protocol is the
# source of the objects in the pictures: under `clean` they are found with the names
# of the two entities, and never with the label.

# %%
# !ifa-prepare quickstart --out=raw --num_train={NUM_TRAIN} --num_dev={NUM_DEV} --num_test={NUM_TEST}
# !ifa-prepare mnre --raw_dir=raw --data_dir=data --protocol=clean --boxes=raw/boxes.json --tokenizer=raw/tokenizer --image_size=64 --patch_size=16 --num_crops=2 --text_len=40

# %% [markdown]
# A post, as it is stored: words, two entities, a picture. Neither the text nor the
# picture names the relation by itself.

# %%
import ast
import json
import pathlib

from IPython.display import Image, display

rows = pathlib.Path("raw/txt/ours_test.txt").read_text().splitlines()
row = ast.literal_eval(rows[0])
boxes = json.loads(pathlib.Path("raw/boxes.json").read_text())
picture = f"raw/img_org/test/{row['img_id']}"
print(" ".join(row["token"]), "|", row["relation"])
display(Image(picture, width=224))

# %% [markdown]
# ## Train
#
# The dev split is scored after each epoch, and the test split once, with the best
# epoch. Run the cell again: a finished run reports its scores, and one that was
# interrupted resumes.

# %%
# !ifa-train --config=quickstart --config.data.data_dir=data --config.train.progress=False {TRAINING}

# %% [markdown]
# ## Does the model use the pictures?
#
# `shuffle` scores the test split with the pictures of other posts, and without
# pictures: Table 1 of the paper, with 95 % bootstrap intervals by post.

# %%
# !COLUMNS=120 ifa-analyze shuffle --workdir=runs/quickstart/objects

# %% [markdown]
# ## Where does each word look?
#
# `alignment` writes a page: each post with its objects, its probabilities with and
# without the picture, and the attention of each word.

# %%
# !ifa-analyze alignment --workdir=runs/quickstart/objects --num_posts=4 --out=alignment
pages = pathlib.Path("alignment").glob("*.html")
print(sorted(page.name for page in pages))

# %% [markdown]
# ## Predict
#
# A post of your own has the same fields. `image` is a file; `boxes` are the objects
# in it, from any detector.

# %%
import ifa_jax

predictor = ifa_jax.Predictor("runs/quickstart/objects")
post = {
  "text": row["token"],
  "head": row["h"]["name"],
  "tail": row["t"]["name"],
  "head_span": row["h"]["pos"],
  "tail_span": row["t"]["pos"],
  "image": picture,
  "boxes": boxes[row["img_id"]],
}
prediction = predictor.predict(post)
print(prediction["relation"], prediction["probability"])
text_only = predictor.predict(post | {"image": None, "boxes": None})
print("without the picture:", text_only["relation"])

# %% [markdown]
# ## Your own data
#
# With the files of MNRE in a folder `DATA`, the paper's model around BERT and CLIP is
#
# ```
# ifa-train --config=mnre --config.data.protocol=none --raw_dir=DATA
# ```
#
# It needs an accelerator; `--config=mnre:tiny` trains a small model on the same data.
# Share a trained model with `predictor.save_pretrained("folder")` or
# `predictor.push_to_hub("user/name")`.
