"""The systems that IFAformer is compared with.

pcnn            PCNN
bert            BERT and MTB
mega            BERT+SG, BERT+SG+Att. and MEGA
graph_fusion    objects represented by the text that they are aligned with
vilbert         ViLBERT
"""
