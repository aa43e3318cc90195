"""The two doors of the embedding server. Both call the same `service.py`.

servicer.py  gRPC: single calls and streams, and a status for each error
http.py      HTTP: routes, bodies and middlewares, and the probes
openai.py    the request, the answer and the errors of OpenAI's embeddings API
tokens.py    bearer tokens, for both doors
tls.py       certificates, for both doors
"""
