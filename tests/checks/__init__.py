"""Rules of this project that no other tool checks: `python -m tests.checks`, part of `make check`."""
