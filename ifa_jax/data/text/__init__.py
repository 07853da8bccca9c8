"""Text to ids.

markers              entities: markers, windows around them, words of a text
tokenizer            words with markers to WordPiece ids
encoded              texts and captions as WordPieces
tokenizer_files      tokenizers of folders and of the hub
layouts              other layouts of a text's WordPieces
row_text             the text of a row, and readers of its fields
vocabulary           whole words, and pretrained word vectors
dependency_parser    dependency trees of sentences, by spaCy
"""
