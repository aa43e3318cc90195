"""Plain English: few semicolons, and none of the phrases that a newcomer reads twice.

Read are the pages of the documentation, and the docstrings and comments of the package. Code in them is left out.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.support.folders import ROOT

SENTENCES_PER_SEMICOLON: Final = 10

# What to write instead stands in docs/glossary.md.
BANNED: Final = re.compile(
    # A clause in the place of a noun, such as "What is late is pending".
    r"(?:(?<=^)|(?<=[.!?] )|(?<=[.!?]\n)|(?<=\n\n)|(?<=\n- ))(What|Whatever|Whoever)\b(?![^.!?]*\?)"
    r"|\b(reckon\w*|mend(s|ed|ing)?|st(and|ands|ood) for|(take|takes|taken|took) for"
    r"|as (it|they) came|goes on as|go on as)\b",
    re.IGNORECASE,
)
_FENCE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE: Final = re.compile(r"``[^`]*``|`[^`]*`")
_LINK: Final = re.compile(r"\]\([^)]*\)|<[^>\s]+>|https?://\S+")
_BLOCK: Final = re.compile(
    r"\n\s*\n|\n(?=\s*(?:[-*|#]|[0-9]+\.)\s)"
)  # paragraphs, list items, rows of tables, headings
_SENTENCE_END: Final = re.compile(r"[.!?](?=[\s\")]|$)")
# Made from other files, or the words of others.
_GENERATED: Final = frozenset({"docs/commands.md", "docs/configuration.md", "docs/errors.md"})


def problems() -> Iterator[str]:
    """One line for each page or folder that breaks a rule, naming the place."""
    for page in pages():
        text = _prose(page.read_text("utf-8"))
        name = str(page.relative_to(ROOT))
        yield from _too_many_semicolons(name, [text])
        yield from _banned(name, text)
    for folder in sorted({module.parent for module in modules()}):
        read = {module: list(_words_of(module)) for module in sorted(folder.glob("*.py"))}
        yield from _too_many_semicolons(
            str(folder.relative_to(ROOT)), [text for texts in read.values() for text in texts]
        )
        for module, texts in read.items():
            for text in texts:
                yield from _banned(str(module.relative_to(ROOT)), text)


def pages() -> list[Path]:
    """Every page that we write ourselves."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(page for page in found if str(page.relative_to(ROOT)) not in _GENERATED)


def modules() -> list[Path]:
    """Every module that we write ourselves."""
    return [path for path in (ROOT / "sidecar").rglob("*.py") if path.parent.name != "contract"]


def sentences(text: str) -> int:
    """How many sentences a text has: at least one in each paragraph, list item or row."""
    return sum(max(1, len(_SENTENCE_END.findall(block))) for block in _BLOCK.split(text) if block.strip())


def _too_many_semicolons(name: str, texts: list[str]) -> Iterator[str]:
    semicolons = sum(text.count(";") for text in texts)
    allowed = max(1, sum(map(sentences, texts)) // SENTENCES_PER_SEMICOLON)
    if semicolons > allowed:
        yield f"{name}: {semicolons} semicolons in {sum(map(sentences, texts))} sentences, {allowed} may be there"


def _banned(name: str, text: str) -> Iterator[str]:
    for found in BANNED.finditer(text):
        around = " ".join(text[max(0, found.start() - 30) : found.end() + 30].split())
        yield f"{name}: [{found[0]}] in […{around}…]: say it in plain words (docs/glossary.md)"


def _prose(markdown: str) -> str:
    return _LINK.sub("", _CODE.sub("", _FENCE.sub("", markdown)))


def _words_of(module: Path) -> Iterator[str]:
    """The docstrings and comments of a module, without code in them."""
    source = module.read_text("utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield _prose(docstring)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(("# noqa", "# type:", "# fmt:")):
            yield _prose(token.string.removeprefix("#").partition("# noqa")[0])
