"""What happens to a post between the raw files and the device.

markers        entity markers in a list of words, windows around entities
tokenization   words with markers to WordPiece ids
pictures       an image file to the squares that the visual stream reads
boxes          boxes around objects: detected ones, and grounded by a phrase
schema         what a prepared record holds, and the dataset's metadata
shards         random access to the records of TFRecord files
scenes         files of pictures' objects and sentences' trees (scene_*: parts)
spatial        edges between boxes that lie together
structural     weights of words and objects that stand alike in their graphs
regions        what a batch gets of scenes; region_sources: and in their stead
order          which rows stand in which batch, by seed and epoch
pipeline       TFRecord shards to shuffled, padded batches
"""
