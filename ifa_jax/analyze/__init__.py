"""What a trained run makes of its pictures: python -m ifa_jax.analyze VERB.

shuffle    Table 1: scores with the pictures of other rows, and with none
"""
