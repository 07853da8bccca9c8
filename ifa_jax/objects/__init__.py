"""Objects in pictures: found, encoded, put into scenes.

finder          boxes from a detector and a grounder, run by PyTorch
pipelines       loads the two; queries is what a grounder is asked
region_encoder  crops to vectors
scene_maker     a picture and its boxes to a scene
"""
