from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    ROLE_PASSAGE: _ClassVar[Role]
    ROLE_QUERY: _ClassVar[Role]

class OnTooLong(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_TOO_LONG_UNSPECIFIED: _ClassVar[OnTooLong]
    ON_TOO_LONG_TRUNCATE_END: _ClassVar[OnTooLong]
    ON_TOO_LONG_ERROR: _ClassVar[OnTooLong]
    ON_TOO_LONG_CHUNK: _ClassVar[OnTooLong]

class Encoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENCODING_UNSPECIFIED: _ClassVar[Encoding]
    ENCODING_FLOAT32: _ClassVar[Encoding]
    ENCODING_FLOAT16: _ClassVar[Encoding]

class Lane(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LANE_UNSPECIFIED: _ClassVar[Lane]
    LANE_INTERACTIVE: _ClassVar[Lane]
    LANE_BULK: _ClassVar[Lane]

class CachePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CACHE_POLICY_UNSPECIFIED: _ClassVar[CachePolicy]
    CACHE_POLICY_DEFAULT: _ClassVar[CachePolicy]
    CACHE_POLICY_BYPASS: _ClassVar[CachePolicy]
ROLE_UNSPECIFIED: Role
ROLE_PASSAGE: Role
ROLE_QUERY: Role
ON_TOO_LONG_UNSPECIFIED: OnTooLong
ON_TOO_LONG_TRUNCATE_END: OnTooLong
ON_TOO_LONG_ERROR: OnTooLong
ON_TOO_LONG_CHUNK: OnTooLong
ENCODING_UNSPECIFIED: Encoding
ENCODING_FLOAT32: Encoding
ENCODING_FLOAT16: Encoding
LANE_UNSPECIFIED: Lane
LANE_INTERACTIVE: Lane
LANE_BULK: Lane
CACHE_POLICY_UNSPECIFIED: CachePolicy
CACHE_POLICY_DEFAULT: CachePolicy
CACHE_POLICY_BYPASS: CachePolicy

class EmbedRequest(_message.Message):
    __slots__ = ("model", "expect_space", "texts", "role", "on_too_long", "normalize", "dimension", "encoding", "lane", "cache", "request_id")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    EXPECT_SPACE_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ON_TOO_LONG_FIELD_NUMBER: _ClassVar[int]
    NORMALIZE_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    model: str
    expect_space: str
    texts: _containers.RepeatedScalarFieldContainer[str]
    role: Role
    on_too_long: OnTooLong
    normalize: bool
    dimension: int
    encoding: Encoding
    lane: Lane
    cache: CachePolicy
    request_id: str
    def __init__(self, model: _Optional[str] = ..., expect_space: _Optional[str] = ..., texts: _Optional[_Iterable[str]] = ..., role: _Optional[_Union[Role, str]] = ..., on_too_long: _Optional[_Union[OnTooLong, str]] = ..., normalize: _Optional[bool] = ..., dimension: _Optional[int] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., lane: _Optional[_Union[Lane, str]] = ..., cache: _Optional[_Union[CachePolicy, str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class EmbedReply(_message.Message):
    __slots__ = ("model", "space", "backend", "dimension", "encoding", "matrix", "items", "timing", "padding_tokens", "deterministic", "request_id")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    MATRIX_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    TIMING_FIELD_NUMBER: _ClassVar[int]
    PADDING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    DETERMINISTIC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    model: str
    space: str
    backend: str
    dimension: int
    encoding: Encoding
    matrix: bytes
    items: _containers.RepeatedCompositeFieldContainer[Item]
    timing: Timing
    padding_tokens: int
    deterministic: bool
    request_id: str
    def __init__(self, model: _Optional[str] = ..., space: _Optional[str] = ..., backend: _Optional[str] = ..., dimension: _Optional[int] = ..., encoding: _Optional[_Union[Encoding, str]] = ..., matrix: _Optional[bytes] = ..., items: _Optional[_Iterable[_Union[Item, _Mapping]]] = ..., timing: _Optional[_Union[Timing, _Mapping]] = ..., padding_tokens: _Optional[int] = ..., deterministic: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class Item(_message.Message):
    __slots__ = ("row", "tokens", "tokens_dropped", "truncated", "cached", "deduplicated", "error", "chunks")
    ROW_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_DROPPED_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    DEDUPLICATED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    row: int
    tokens: int
    tokens_dropped: int
    truncated: bool
    cached: bool
    deduplicated: bool
    error: ItemError
    chunks: _containers.RepeatedCompositeFieldContainer[Chunk]
    def __init__(self, row: _Optional[int] = ..., tokens: _Optional[int] = ..., tokens_dropped: _Optional[int] = ..., truncated: _Optional[bool] = ..., cached: _Optional[bool] = ..., deduplicated: _Optional[bool] = ..., error: _Optional[_Union[ItemError, _Mapping]] = ..., chunks: _Optional[_Iterable[_Union[Chunk, _Mapping]]] = ...) -> None: ...

class ItemError(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("row", "char_start", "char_end")
    ROW_FIELD_NUMBER: _ClassVar[int]
    CHAR_START_FIELD_NUMBER: _ClassVar[int]
    CHAR_END_FIELD_NUMBER: _ClassVar[int]
    row: int
    char_start: int
    char_end: int
    def __init__(self, row: _Optional[int] = ..., char_start: _Optional[int] = ..., char_end: _Optional[int] = ...) -> None: ...

class Timing(_message.Message):
    __slots__ = ("queue_us", "tokenize_us", "compute_us")
    QUEUE_US_FIELD_NUMBER: _ClassVar[int]
    TOKENIZE_US_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_US_FIELD_NUMBER: _ClassVar[int]
    queue_us: int
    tokenize_us: int
    compute_us: int
    def __init__(self, queue_us: _Optional[int] = ..., tokenize_us: _Optional[int] = ..., compute_us: _Optional[int] = ...) -> None: ...

class StreamReply(_message.Message):
    __slots__ = ("reply", "error", "credit_tokens")
    REPLY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CREDIT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    reply: EmbedReply
    error: StreamError
    credit_tokens: int
    def __init__(self, reply: _Optional[_Union[EmbedReply, _Mapping]] = ..., error: _Optional[_Union[StreamError, _Mapping]] = ..., credit_tokens: _Optional[int] = ...) -> None: ...

class StreamError(_message.Message):
    __slots__ = ("code", "message", "request_id", "retry_after_ms")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    request_id: str
    retry_after_ms: int
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., request_id: _Optional[str] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class TokenizeRequest(_message.Message):
    __slots__ = ("model", "texts", "role", "offsets")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    model: str
    texts: _containers.RepeatedScalarFieldContainer[str]
    role: Role
    offsets: bool
    def __init__(self, model: _Optional[str] = ..., texts: _Optional[_Iterable[str]] = ..., role: _Optional[_Union[Role, str]] = ..., offsets: _Optional[bool] = ...) -> None: ...

class TokenizeReply(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[TokenizedText]
    def __init__(self, items: _Optional[_Iterable[_Union[TokenizedText, _Mapping]]] = ...) -> None: ...

class TokenizedText(_message.Message):
    __slots__ = ("tokens", "char_starts", "char_ends")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    CHAR_STARTS_FIELD_NUMBER: _ClassVar[int]
    CHAR_ENDS_FIELD_NUMBER: _ClassVar[int]
    tokens: int
    char_starts: _containers.RepeatedScalarFieldContainer[int]
    char_ends: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, tokens: _Optional[int] = ..., char_starts: _Optional[_Iterable[int]] = ..., char_ends: _Optional[_Iterable[int]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsReply(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[ModelInfo]
    def __init__(self, models: _Optional[_Iterable[_Union[ModelInfo, _Mapping]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class ModelInfo(_message.Message):
    __slots__ = ("model", "space", "backend", "dimension", "max_tokens", "normalized", "manifest", "max_texts", "max_message_bytes", "full_text_s")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    NORMALIZED_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    MAX_TEXTS_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    FULL_TEXT_S_FIELD_NUMBER: _ClassVar[int]
    model: str
    space: str
    backend: str
    dimension: int
    max_tokens: int
    normalized: bool
    manifest: str
    max_texts: int
    max_message_bytes: int
    full_text_s: float
    def __init__(self, model: _Optional[str] = ..., space: _Optional[str] = ..., backend: _Optional[str] = ..., dimension: _Optional[int] = ..., max_tokens: _Optional[int] = ..., normalized: _Optional[bool] = ..., manifest: _Optional[str] = ..., max_texts: _Optional[int] = ..., max_message_bytes: _Optional[int] = ..., full_text_s: _Optional[float] = ...) -> None: ...
