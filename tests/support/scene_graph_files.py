"""The files of a scene graph detector, for two pictures."""

INFO = {
  "idx_to_files": ["sgg/gone.jpg", "sgg/a.jpg"],
  "ind_to_classes": ["__background__", "dog", "man", "hat"],
  "ind_to_predicates": ["__background__", "on", "wearing"],
}
# Of a picture of 300 x 200, which the detector resizes to 900 x 600.
PREDICTION = {
  "1": {
    "bbox": [
      [0, 0, 299, 149],
      [90, 30, 899, 599],
      [3, 3, 29, 29],
      [0, 0, 9, 9],
    ],
    "bbox_labels": [2, 1, 3, 3],
    "bbox_scores": [0.9, 0.8, 0.7, 0.2],
    "rel_pairs": [[0, 2], [1, 0], [1, 1], [3, 0], [2, 1], [0, 1]],
    "rel_labels": [2, 1, 1, 1, 2, 1],
    "rel_scores": [0.9, 0.95, 0.8, 0.7, 0.11, 0.1],
  }
}
