"""Text to ids.

markers              entity markers in a list of words, windows around entities
tokenizer            words with markers to WordPiece ids
wordpieces           a vocabulary, read by `tokenizers` or `transformers`
layouts              other layouts of a text's WordPieces
row_text             the text of a row, with the readers of its fields
vocabulary           whole words, and pretrained vectors of them
dependency_parser    dependency trees of sentences, by spaCy
"""
