"""Objects in pictures: found, encoded, made into scenes.

finder            boxes from a detector and a grounder, run by PyTorch
pipelines         loads the two
queries           the names that a grounder looks for
region_encoder    crops to vectors
encoder_folder    the folder of such an encoder
scene_builder     a picture and its boxes to a scene
"""
