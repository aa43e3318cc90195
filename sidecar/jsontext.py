"""Reads and writes JSON as OpenSearch does: strict, without NaN, with lone surrogates, compact. Pure.

orjson is quick, but it refuses lone surrogates, which OpenSearch accepts, and turns integers over 64 bits into floats.
The standard library reads both. So `loads` tries orjson first, where only texts matter, and `loads_exact` uses the
standard library alone, where a body is written again.

OpenSearch reads with Jackson, which takes more than strict JSON in UTF-8. `plain_json` makes strict JSON of the bytes
of a client. It comes first wherever a document, an update, an action line or a search is read.
"""

import hashlib
import json
import math
import re
from array import array
from collections.abc import Iterator
from typing import Final, NoReturn, TypeAlias, Union

import orjson

# typing.Union, because a string cannot be joined with further types by "|" at run time.
Json: TypeAlias = Union["dict[str, Json]", "list[Json]", str, int, float, bool, None]
Object: TypeAlias = dict[str, Json]

_BOM = b"\xef\xbb\xbf"
_END = object()

_COMMENT: Final = re.compile(rb'("(?:[^"\\]++|\\.)*+")|/\*.*?\*/|//[^\r\n]*', re.DOTALL)
_BEGINS_WITH_BRACE: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{")
_HAS_COMMENT: Final = re.compile(rb'(?:[^"/]++|"(?:[^"\\]++|\\.)*+"|/(?![/*]))*+/[/*]', re.DOTALL)
# The first bytes of JSON, which is ASCII there, tell the width of its characters and their order.
_WIDE: Final = (
    (b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
    (b"\0\0\0", "utf-32-be"), (b"\0", "utf-16-be"),
)  # fmt: skip
# The forms that Jackson decodes and UTF-8 does not have: longer than needed (C0 80 is NUL), half a surrogate pair,
# beyond U+10FFFF. A byte after a backslash is never the beginning of one.
_NOT_UTF8: Final = re.compile(
    rb"\\.|([\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xed[\xa0-\xbf][\x80-\xbf]"
    rb"|\xf0[\x80-\x8f][\x80-\xbf]{2}|\xf4[\x90-\xbf][\x80-\xbf]{2}|[\xf5-\xf7][\x80-\xbf]{3})",
    re.DOTALL,
)

# Strings and comments. Each alternative takes all that it can and gives nothing back, so a search takes linear time.
_NO_STRUCTURE: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|//[^\r\n]*+|/\*.*?(?:\*/|\Z)'
_STRINGS_AND_COMMENTS: Final = re.compile(_NO_STRUCTURE, re.DOTALL)
# Much text in one match, but not so much that the interpreter is held up for long.
_STRETCH: Final = re.compile(rb'(?:%b|[^"/]{1,65536}+|/){1,256}+' % _NO_STRUCTURE, re.DOTALL)
_STEPS: Final = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NO_STEPS: Final = bytes(set(range(256)) - set(b"[{]}"))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is beyond a double")
    return number


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate key")
    return members


_FIRST_KEY: Final = re.compile(r'[ \t\r\n]*\{[ \t\r\n]*("(?:[^"\\]++|\\.)*+")[ \t\r\n]*:[ \t\r\n]*')


class NumberText(str):
    """A number as it is written. The cluster reads a number differently from a text where it wants neither."""

    __slots__ = ()


_WRITTEN: Final = json.JSONDecoder(
    parse_int=NumberText, parse_float=NumberText, parse_constant=_refuse_constant, object_pairs_hook=_unique
)


def plain_json(data: bytes) -> bytes:
    """The same JSON in strict UTF-8, without a BOM and without comments, as the cluster reads it.

    Bytes that are plain already are given back as they are, and so are bytes that are no JSON.
    """
    if not data.isascii() or b"\0" in data[:4]:
        wide = _width(data)
        if wide is not None:
            try:
                data = data.decode(wide).encode()
            except UnicodeError:
                return data
        data = data.removeprefix(_BOM)
        if not _is_utf8(data):
            data = _NOT_UTF8.sub(_escaped, data)
    # Many texts hold the address of a page, which looks like a comment.
    if b"/" in data and (b"/*" in data or b"//" in data) and _HAS_COMMENT.match(data):
        data = _COMMENT.sub(lambda found: found[1] or b" ", data)
    return data


def plain_document(data: bytes) -> bytes:
    """Do the same for a whole document, which must begin with a brace. The cluster does not look at any other."""
    return plain_json(data) if _BEGINS_WITH_BRACE.match(data) else data


def _width(data: bytes) -> str | None:
    """The encoding of JSON in wide characters. None if it is in UTF-8."""
    if b"\0" in data[1:4] and data[:1] not in (b"\0", b"\xfe", b"\xff"):
        return "utf-32-le" if data[1:4] == b"\0\0\0" else "utf-16-le"
    return next((coding for start, coding in _WIDE if data.startswith(start)), None)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _escaped(found: re.Match[bytes]) -> bytes:
    """The JSON escape of the characters that Jackson makes of these bytes."""
    odd: bytes | None = found[1]
    if odd is None:
        return found[0]
    code = odd[0] & (0xFF >> (len(odd) + 1))
    for byte in odd[1:]:
        code = code << 6 | byte & 0x3F
    if len(odd) < 4:
        return b"\\u%04x" % code
    code -= 0x10000
    return b"\\u%04x\\u%04x" % ((0xD800 | code >> 10) & 0xFFFF, 0xDC00 | code & 0x3FF)


def loads(data: bytes) -> Json:
    """Parse JSON that is only read. The last of duplicate keys wins. Raises ValueError."""
    try:
        parsed: Json = orjson.loads(data)
    except ValueError:
        text = data.removeprefix(_BOM).decode("utf-8")
        try:
            parsed = json.loads(text, parse_constant=_refuse_constant)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
    return parsed


def loads_exact(data: bytes) -> Json:
    """Parse JSON that will be written again. A value that would then differ is refused.

    Raises ValueError, also for JSON that cannot be written again unchanged: duplicate keys, numbers beyond a double.
    """
    text = data.removeprefix(_BOM).decode("utf-8")
    try:
        parsed: Json = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return parsed


def loads_as_written(data: bytes) -> Json:
    """Parse JSON with every number as the text that is written there, a NumberText: "1.50", "1e3", "-0".

    Raises ValueError, also for duplicate keys.
    """
    return _as_written(data.decode("utf-8"))[0]


def first_member(data: bytes) -> tuple[str, Json, bytes]:
    """The first member of an object: its key, its value with numbers as texts, and its bytes.

    Nothing behind it is read. Raises ValueError.
    """
    text = data.decode("utf-8")
    start = _FIRST_KEY.match(text)
    if start is None:
        raise ValueError("not an object with a member")
    value, end = _as_written(text, start.end())
    return str(json.loads(start[1])), value, text[start.start(1) : end].encode()


def _as_written(text: str, start: int | None = None) -> tuple[Json, int]:
    """Parse a value, and give its end. Without a start the whole text must be one value."""
    try:
        return (_WRITTEN.decode(text), len(text)) if start is None else _WRITTEN.raw_decode(text, start)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def as_text(value: Json) -> str | None:
    """The text of a value where the cluster wants a text. It takes numbers and booleans there, too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def nesting_deeper_than(body: bytes, limit: int) -> bool:
    """Whether objects and lists stand in each other more than `limit` levels deep. The body may be no valid JSON.

    It parses nothing and takes linear time. A body with few brackets is not even looked through.
    """
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    encoding = json.detect_encoding(body)  # the cluster reads all encodings of Unicode
    text = body if encoding.startswith("utf-8") else body.decode(encoding, "replace").encode("utf-8", "replace")
    depth = 0
    for stretch in _STRETCH.finditer(text):
        bare = _STRINGS_AND_COMMENTS.sub(b"", stretch[0])
        for step in array("b", bare.translate(_STEPS, _NO_STEPS)):
            depth += step
            if depth > limit:
                return True
    return False


def at(value: Json, *keys: str) -> Json:
    """The value at the end of a path of keys; None if there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def strings(value: Json) -> Iterator[str]:
    """Every string of a value at any depth, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for element in value:
            yield from strings(element)
    elif isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from strings(member)


def clauses(value: Json) -> list[Json]:
    """A list that is given as a list, as a single value or not at all, as OpenSearch reads the clauses of a `bool`."""
    return value if isinstance(value, list) else [] if value is None else [value]


def dumps(value: object) -> bytes:
    """Compact JSON in ASCII, so that lone surrogates survive.

    Compact matters: Vector looks for the bytes `"errors":true` in a bulk answer and reads `"errors": true` as success.
    """
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")
    except RecursionError:  # the cluster reads and writes more levels than Python has frames
        return "".join(_pieces(value)).encode("ascii")


def _pieces(value: object) -> Iterator[str]:
    """The compact JSON of a value of any depth, in a loop."""
    left: list[tuple[str, object]] = [("", value)]  # the innermost last: the text before a value, and the value
    while left:
        before, one = left.pop()
        yield before
        if one is _END:
            continue
        if isinstance(one, dict) and one:
            inner = [(json.dumps(key) + ":", member) for key, member in one.items()]
            brackets = "{}"
        elif isinstance(one, list | tuple) and one:
            inner = [("", element) for element in one]
            brackets = "[]"
        else:
            yield json.dumps(one, allow_nan=False)
            continue
        left.append((brackets[1], _END))
        left += [("," + name, member) for name, member in reversed(inner[1:])]
        left.append((brackets[0] + inner[0][0], inner[0][1]))


def dumps_quick(value: object) -> bytes:
    """Compact JSON in UTF-8 for the cluster. It writes a vector many times as fast as `dumps`."""
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits
        return dumps(value)


def value_digest(value: object) -> str:
    """The SHA-256 (hex) of the canonical JSON of a value."""
    return hashlib.sha256(canonical(value)).hexdigest()


def canonical(value: object) -> bytes:
    """The canonical JSON of a value, which is hashed: sorted keys, compact, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
