"""Work that is done once per picture by a PyTorch model, and can be resumed.

work        the run: opens pictures ahead, keeps results, writes the file
journal     results so far, kept for an interrupted run
pictures    the pictures of a tree or of a folder
"""
