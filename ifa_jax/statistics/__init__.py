"""Scores and their uncertainty.

metrics        accuracy, micro F1, scores by relation
predictions    files of predictions
systems        predictions of one system over several seeds
bootstrap      bootstrap intervals over posts and seeds
counts_only    guesses from counts of a post
paired         paired differences between systems
"""
