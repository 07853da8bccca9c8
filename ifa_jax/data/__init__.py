"""What happens to a post between the raw files and the device.

markers        entity markers in a list of words, windows around entities
tokenization   words with markers to WordPiece ids
pictures       an image file to the squares that the visual stream reads
schema         what a prepared record holds, and the dataset's metadata
pipeline       TFRecord shards to shuffled, padded batches
"""
