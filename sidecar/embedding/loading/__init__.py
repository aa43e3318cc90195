"""From a name in the settings to a model that is ready to compute.

models.py    finds and verifies the files, and describes an opened and a loaded model
cpus.py      how many CPUs the process may use, and whether they multiply bytes
memory.py    whether the models fit into memory
selftest.py  compares the vectors of the probes with their references
building.py  `sidecar model build`: converts and quantises a model for a back end

A probe is a text of the self-test. A reference is its pooled vector in float32, as torch computes it.
"""
