"""From texts to token ids, with the limits of the model version instead of those in tokenizer.json. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from sidecar.embedding.text.blanks import Blanks
from sidecar.errors import ConfigurationError
from sidecar.jsontext import dumps
from sidecar.models.fingerprint import tokenizer_document

_MOST_CHARACTERS: Final = 65_536  # tokenised in some 50 ms. A text of 32 MB would hold the thread for half a minute
_CHARACTERS_PER_TOKEN: Final = 16  # more than any language has on average


def most_characters(max_tokens: int) -> int:
    """How much of a text is tokenised at once: enough to fill the model, but not so much that other texts wait long."""
    return max(_MOST_CHARACTERS, _CHARACTERS_PER_TOKEN * max_tokens)


def window(text: str, start: int, size: int) -> str:
    """The next characters, up to the end of a word if one ends in their second half. Half a word has other tokens."""
    end = start + size
    if end >= len(text):
        return text[start:]
    after_word = (place for place in range(end, end - size // 2, -1) if text[place - 1].isspace())
    return text[start : next(after_word, end)]


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A text as the model sees it."""

    ids: NDArray[np.int32]  # special tokens included, at most as many as the model takes
    dropped: int  # tokens cut off at the end. There may be more if the text has more than `most_characters`


@dataclass(frozen=True, slots=True)
class TokenSpans:
    """The places of the tokens of a text."""

    tokens: int  # of the whole text, with special tokens and the prompt
    spans: tuple[tuple[int, int], ...]  # in code points, without special tokens and those of the prompt


class TextTokenizer:
    """The tokenizer of one model version. Nothing changes it, so several threads may use it."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._most_characters = most_characters(max_tokens)
        self._content_limit = max_tokens - tokenizer.num_special_tokens_to_add(is_pair=False)
        self.blanks = Blanks(lambda text: tokenizer.encode(text, add_special_tokens=False).ids)

    @classmethod
    def from_json(cls, tokenizer_json: bytes, max_tokens: int) -> Self:
        """Read a tokenizer.json, without its truncation and padding. Raises ConfigurationError."""
        document = dumps(tokenizer_document(tokenizer_json)).decode("ascii")
        try:
            return cls(Tokenizer.from_str(document), max_tokens)
        except Exception as error:  # the library raises bare Exception
            raise ConfigurationError(f"tokenizer.json cannot be read: {error}") from error

    def encode(self, texts: Sequence[str]) -> list[EncodedText]:
        """The token ids of each text. Tokens beyond the limit are cut off at the end and counted.

        Of a longer text, only `most_characters` are tokenised, to the end of a word. Blanks that the tokenizer drops
        are not among them.
        """
        seen = [window(text, 0, self._most_characters) for text in texts]
        encodings = self._tokenizer.encode_batch(seen, add_special_tokens=False)
        return [
            self._finish(encoding, unseen=False) if len(part) == len(text) else self._encode_long(encoding, text)
            for encoding, part, text in zip(encodings, seen, texts, strict=True)
        ]

    def text_of(self, ids: Sequence[int]) -> str | None:
        """The text that has exactly these token ids, special tokens included, or None if there is none.

        Ids of another model's tokenizer are decoded to some text, too, so the text is encoded again and compared. The
        special tokens must be there: without them, short words of another vocabulary would look like ours.
        """
        text = self._tokenizer.decode(list(ids), skip_special_tokens=True)
        return text if self._tokenizer.encode(text).ids == list(ids) else None

    def spans(self, prompt: str, texts: Sequence[str]) -> list[TokenSpans]:
        """The places of the tokens of each text. The prompt is put in front of the text, as for embedding."""
        encodings = self._tokenizer.encode_batch([prompt + text for text in texts])
        return [_spans(encoding, len(prompt)) for encoding in encodings]

    def seen(self, prompt: str, text: str) -> TokenSpans:
        """`spans` of one text."""
        return self.spans(prompt, [text])[0]

    def _encode_long(self, encoding: Encoding, text: str) -> EncodedText:
        """The encoding of its first window is enough, unless blanks took the room of words."""
        unseen = True
        if len(encoding) <= self._content_limit:
            squeezed = self.blanks.squeezed(text, self._most_characters)
            seen = window(squeezed, 0, self._most_characters)
            encoding = self._tokenizer.encode(seen, add_special_tokens=False)
            unseen = len(seen) < len(squeezed)
        return self._finish(encoding, unseen=unseen)

    def _finish(self, encoding: Encoding, *, unseen: bool) -> EncodedText:
        beyond = max(len(encoding) - self._content_limit, 0)
        if beyond:
            encoding.truncate(self._content_limit)
        ids = self._tokenizer.post_process(encoding, add_special_tokens=True).ids
        return EncodedText(np.array(ids, dtype=np.int32), max(beyond, int(unseen)))


def _spans(encoding: Encoding, prompt_length: int) -> TokenSpans:
    inside = (
        (max(start - prompt_length, 0), end - prompt_length)
        for (start, end), special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
        if not special and end > prompt_length
    )
    return TokenSpans(len(encoding), tuple(inside))
