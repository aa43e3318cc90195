"""Model versions on this machine: which there are, and where their files are.

catalogue.py    the models that are known by name, and the versions that are shipped (`catalogue.toml`, `pinned/`)
sources.py      where new files come from: a folder, a package or a hub
facts.py        reads dimension, pooling and prompts from the files of a model
fingerprint.py  which files count, and their hashes
store.py        finds, verifies and adds versions
artifacts.py    finds, verifies and installs what was built from a version for one back end

To pin a model is to write down the hashes of its files under an id that never changes its meaning. An artifact is a
model that was converted for one back end.
"""
