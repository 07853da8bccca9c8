"""Does the number of crops reveal the label of a row?"""
