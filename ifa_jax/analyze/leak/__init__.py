"""Do numbers, such as that of crops, reveal the label of a row?"""
