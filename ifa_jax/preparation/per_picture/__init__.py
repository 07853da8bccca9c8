"""Work that is done once per picture by a PyTorch model, and can be resumed.

work        the run: keeps results, writes the file
reading     the model: opens pictures ahead, here or on a cluster
journal     results so far, kept for an interrupted run
pictures    the pictures of a tree or of a folder
"""
