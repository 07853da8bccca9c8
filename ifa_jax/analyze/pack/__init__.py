"""The predictions of runs as one archive, to publish with a table."""
