"""Writes of documents. Each text gets its vector, and each vector its provenance.

`bulk_handler.py` and `document_handler.py` handle a request from top to bottom. `bulk_preparation.py` plans and embeds
one bulk. `passages.py` asks the embedder for vectors, within the budget of the write. `stored_documents.py` reads the
documents that updates depend on. `scripted_updates.py` sends scripts as single updates.
`ingest_pipelines.py` asks for the pipelines that a document goes through after the bridge.
`bulk_check.py` lets the cluster check a bulk before it is cut. All other modules are pure:

- `bulk_body.py` parses a bulk, `bulk_action.py` each of its action lines. `bulk_plan.py` cuts a bulk into
  *waves* (operations that can be sent together), and `bulk_answer.py` merges the answers.
- `smile_bulk.py` finds the updates of a bulk that is not JSON.
- `document_plan.py` plans whole documents. `document_faults.py` finds what the cluster misses in them.
- `update_body.py` parses an update, and `update_plan.py` plans it.
  `update_source.py` keeps our fields out of its answer. `single_update.py` turns a bulk item into a single update.
- `pipeline_effects.py` reads how an ingest pipeline may change a document.
"""
