"""A module says `Pure.` in its docstring if it decides without I/O, and then it is pure.

The sentence and the code are compared both ways: a module that says it may reach nothing that is not pure, and a module
that reaches nothing of that kind says it. Imports are followed through modules of ours, calls are not.
"""

import ast
from collections.abc import Iterator
from typing import Final

import grimp

from tests.checks.modules import Module, modules

# Not even through a module of ours that a pure module imports.
FORBIDDEN: Final = frozenset(
    {"asyncio", "aiohttp", "grpc", "opensearchpy", "os", "time", "random", "logging", "structlog", "torch"}
)
# A pure module may import a module of ours that imports these: it takes a type or a table from there.
_FORBIDDEN_DIRECTLY: Final = frozenset(
    {"fcntl", "gzip", "importlib", "openvino", "secrets", "shutil", "socket", "subprocess", "sys", "tempfile", "typer"}
)
_IO_CALLS: Final = frozenset(
    {"open", "print", "input", "now", "exists", "is_file", "is_dir", "stat", "iterdir", "glob", "rglob", "mkdir"}
    | {"unlink", "rename", "symlink_to", "read_text", "read_bytes", "write_text", "write_bytes"}
)


def problems() -> Iterator[str]:
    """One line for each module whose docstring and code do not agree."""
    graph = grimp.build_graph("sidecar", include_external_packages=True, cache_dir=None)
    for module in modules():
        reasons = [*_impure_imports(graph, module.name), *_impure_code(module)]
        if module.says_pure:
            yield from (f"{module.path} says `Pure.` and {reason}" for reason in reasons)
        elif not reasons and module.behaves:
            yield f"{module.path} is pure and does not say so: write `Pure.` into its docstring"


def _impure_imports(graph: grimp.ImportGraph, name: str) -> Iterator[str]:
    for forbidden in sorted(FORBIDDEN & graph.find_upstream_modules(name)):
        chain = graph.find_shortest_chain(importer=name, imported=forbidden) or ()
        yield f"imports {' -> '.join(chain[1:])}"
    for forbidden in sorted(_FORBIDDEN_DIRECTLY & graph.find_modules_directly_imported_by(name)):
        yield f"imports {forbidden}"


def _impure_code(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        match node:
            case ast.AsyncFunctionDef(name=name):
                yield f"waits in {name} (line {node.lineno})"
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in _IO_CALLS:
                yield f"calls {name} (line {node.lineno})"
