"""The process that computes, apart from the server: a crash in a driver leaves the server running.

supervisor.py  in the server: starts the process, sends it batches, watches it, and starts another one when it dies
frames.py      the messages between the two
process.py     the process itself: loads the models and computes

A sign of life is the answer to a frame without texts. A stream is a thread of the process that computes one batch.
"""
