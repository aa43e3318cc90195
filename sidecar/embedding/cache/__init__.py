"""Vectors that have been computed before.

vectors.py  the cache in memory, and the only way to the file
file.py     the LMDB file, which several processes may share

A generation is one half of the file. When the newer one is full, the older one is dropped and written anew.
"""
