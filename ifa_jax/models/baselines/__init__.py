"""The systems that IFAformer is compared with.

pcnn            PCNN
bert            BERT and MTB
mega            BERT+SG, BERT+SG+Att. and MEGA
graph_fusion    objects read through the text that they are aligned with
vilbert         ViLBERT
"""
