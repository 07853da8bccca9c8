"""Objects in pictures: found, encoded, and made into scenes.

finder            boxes from a detector and a grounder, run by PyTorch
pipelines         loads the two
queries           names to the queries of a grounder
region_encoder    crops to vectors, by pixels or a vision encoder
scene_builder     a picture and its boxes to a scene
"""
