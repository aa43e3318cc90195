"""The embedding server: texts in, vectors out. A request goes through these files from top to bottom.

front/       the doors: gRPC (`servicer.py`) and the embeddings API of OpenAI (`http.py`), tokens and TLS
calls.py     the id of the call, and the bytes that it holds
service.py   the request from end to end: read it from top to bottom
requests.py  checks the request and fills in its defaults
text/        cuts long texts into parts, and turns texts into token ids
lookup.py    asks the cache about each text, and tokenises the others
batcher.py   the queue before one model; `batching.py` decides which texts are computed together
worker/      the process that computes; its libraries are in `backends/`, its models come from `loading/`
replies.py   normalises and encodes the vectors, and builds the reply
statuses.py  gives a refused request its gRPC status

`server.py` joins all of this and listens. A lane says who waits: a person (INTERACTIVE) or a load (BULK). A stream
computes one batch at a time. A pooled vector comes from the model as it is: it is neither cut nor normalised.
"""
