"""Texts on their way to the model.

chunking.py   cuts a text that is too long into parts, if the request asks for it
blanks.py     finds the characters that a tokenizer drops
tokenizer.py  turns texts into token ids, and tells where the tokens stand

A window is the piece of a text that is tokenised at once. A span is the place of a token in its text.
"""
