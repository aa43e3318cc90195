"""Fault runs: clients write through a bridge while its two ways are harmed; then the books must balance."""
