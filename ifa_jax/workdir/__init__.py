"""The folder of a run, shared by training, inference and analyses."""
