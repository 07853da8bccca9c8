"""Trained models as folders that can be shared.

    prediction_settings   settings that prediction needs, checked
    run_model             a model in its run folder
    shared_model          a model in a shared folder
    record                the shared folder's config.json
    saving                writes a shared folder
    shareable             opens either; methods of `Predictor`
    scores                dev and test scores with bootstrap intervals
    card                  the model card, README.md
    hub                   the Hugging Face Hub

A shared folder, on disk or on the hub, holds

    config.json           settings, step, training record, scores; see `record`
    model.safetensors     float32 parameters, see `files.params_file`
    tokenizer/            as the run has it
    words.txt             word vocabulary, for a model that reads words
    scenes.json           manifest of the training scenes, for one that reads
                          regions
    region_encoder/       encoder of the regions, unless they are pixels
    crc32c.json           checksums of all the above but config.json
    README.md             the model card

It contains no pickle and no program.
"""
