"""The HTTP bridge. It adds vectors to the documents that clients index, and makes their text searches hybrid.

`app.py` parses each request into an `IncomingRequest` (`proxy/`). `routes.py` says of which kind the request is. The
handler of that kind answers it:

- Bulk: `writes/bulk_handler.py`. Document, Update: `writes/document_handler.py`.
- Search: `searches/search_handler.py`. MultiSearch: `searches/msearch_handler.py`.
- Read, MultiRead: `reads.py`. Plugin (our own API): `plugin.py`. PassThrough: `proxy/upstream.py`, byte for byte.

`rights.py` asks the cluster whether a client may write, before texts are embedded for him. `embed_limits.py` bounds the
texts that our own API embeds.

A *binding* says which texts of an index feed which vector field, with which model (`bindings/`). The *guard* is the
ingest pipeline that checks each vector in the cluster. A hybrid search has two *legs*, one lexical and one semantic.
The *companion* is an empty index that makes a search of one shard faster. `hidden_fields.py` decides which fields
clients do not see, and the other `hidden_….py` leave them out of requests. `splice.py` adds members to JSON and
changes no other byte. docs/glossary.md explains all words.
"""
