"""Trained models as folders that can be shared.

    record      the shared folder's config.json: settings and history, checked
    sources     a model in its run folder, or in a shared folder
    saving      writes a shared folder
    scores      dev and test scores with bootstrap intervals
    card        the model card, README.md
    hub         the Hugging Face Hub

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
