"""Figure 1: the attention of each word of a post to its pictures."""
