"""Contents of pictures: objects and their features, scenes, captions.

finder            boxes from a detector and a grounder, run by PyTorch
captioner         captions from any model for image-text-to-text
torch_models      loads these models
queries           names to the queries of a grounder
region_encoder    crops to vectors, by pixels or by one of the following
vision_encoder    the class token of a ViT or CLIP
pyramid_encoder   the pyramid of a ResNet, for HVPNeT
scene_builder     a picture and its boxes to a scene
"""
