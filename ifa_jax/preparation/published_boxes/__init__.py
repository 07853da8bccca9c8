"""Boxes of MNRE's published crops: `python -m data_prep.published_boxes`.

command      the conversion to a boxes file
box_files    the published files
boxes_text   the boxes file
"""
