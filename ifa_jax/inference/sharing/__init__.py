"""Trained models as folders that can be shared.

    prediction_settings   settings that prediction needs, checked
    run_model             a model in the folder of its run
    shared_model          a model in a shared folder
    sources               opens either of them
    record                the shared folder's config.json
    saving                writes a shared folder
    shareable             methods of `Predictor`
    scores                dev and test scores with bootstrap intervals
    card, card_metadata   the model card, README.md
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

Nothing in it is a pickle or a program.
"""
