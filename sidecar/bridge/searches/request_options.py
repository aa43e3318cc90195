"""Reads the options that a request sets for its searches, in parameters or headers. They win over the binding.

Pure. The model of the binding checks the values. So a request allows the same values as a binding.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import ValidationError

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.bridge.proxy.headers import (
    FUSION_PARAMETER,
    K_PARAMETER,
    MODE,
    MODE_PARAMETER,
    MODEL_PARAMETER,
    SEARCH_OPTIONS,
    WEIGHTS_PARAMETER,
    WINDOW_PARAMETER,
)
from sidecar.bridge.searches.outcome import Mode
from sidecar.errors import InvalidInput
from sidecar.jsontext import Json
from sidecar.model import IndexBinding, SearchBinding

_MODES: Final = (Mode.OFF, Mode.LEXICAL, Mode.SEMANTIC, Mode.HYBRID)
_DEPTHS: Final = {"k": K_PARAMETER, "window": WINDOW_PARAMETER}


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """The options that a client has set. The bindings decide everything else."""

    mode: Mode | None = None
    # Parameter -> the parameter or header that the client used, and its value.
    given: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def changes_binding(self) -> bool:
        """Whether an option other than the mode is set."""
        return not self.given.keys() <= {MODE_PARAMETER}

    @property
    def sets_depth(self) -> bool:
        """Whether the client sets the number of candidates."""
        return any(name in self.given for name in _DEPTHS.values())

    def applied_to(self, index: BoundIndex) -> BoundIndex:
        """Apply the options to the binding of an index. Raises InvalidInput if they do not fit this index."""
        if not self.changes_binding or index.binding is None or index.binding.search is None:
            return index
        vector_field = self._field(index.name, index.binding, index.binding.search)
        search = self._search(index.binding.search.model_copy(update={"field": vector_field}))
        binding = index.binding.model_copy(update={"search": search})
        return replace(index, binding=binding, sees_all_sources=vector_field not in index.unseen)

    def check(self) -> None:
        """Check the values. Raises InvalidInput for a value that no binding allows."""
        if self.changes_binding:
            self._search(SearchBinding(field=""))

    def _field(self, index: str, binding: IndexBinding, search: SearchBinding) -> str:
        """The vector field to search. An option can select it by its model version."""
        if MODEL_PARAMETER not in self.given:
            return search.field
        name, model = self.given[MODEL_PARAMETER]
        fitting = [bound.field for bound in binding.fields.values() if bound.model == model]
        if search.field in fitting:
            return search.field
        if len(fitting) != 1:
            there = ", ".join(f"{bound.field}: {bound.model}" for bound in binding.fields.values())
            raise InvalidInput(
                name, f"must be the model of one vector field of index [{index}] ({there}); got [{model}]"
            )
        return fitting[0]

    def _search(self, search: SearchBinding) -> SearchBinding:
        depths = {key: self.given[name][1] for key, name in _DEPTHS.items() if name in self.given}
        try:
            return SearchBinding.model_validate({**search.model_dump(), **depths, "fusion": self._fusion(search)})
        except ValidationError as error:
            raise self._refusal(error) from error

    def _fusion(self, search: SearchBinding) -> dict[str, Json]:
        """The fusion of the binding, changed by the options.

        A technique in the options has the default combination if it names none. rrf has its only weights.
        """
        fusion: dict[str, Json] = search.fusion.model_dump(mode="json")
        if FUSION_PARAMETER in self.given:
            technique, colon, combination = self.given[FUSION_PARAMETER][1].partition(":")
            weights: dict[str, Json] = {} if technique == "rrf" else {"weights": fusion["weights"]}
            fusion = {"technique": technique, **({"combination": combination} if colon else {}), **weights}
        if WEIGHTS_PARAMETER in self.given:
            fusion["weights"] = list(self.given[WEIGHTS_PARAMETER][1].split(","))
        return fusion

    def _refusal(self, error: ValidationError) -> InvalidInput:
        first = error.errors()[0]
        place, *inner = first["loc"]
        if place in _DEPTHS:
            parameter = _DEPTHS[str(place)]
        elif "weights" in inner or FUSION_PARAMETER not in self.given:
            parameter = WEIGHTS_PARAMETER
        else:
            parameter = FUSION_PARAMETER
        name, value = self.given[parameter]
        return InvalidInput(name, f"{first['msg'].removeprefix('Value error, ')}; got [{value}]")


def read_options(parameters: Mapping[str, str], headers: Mapping[str, str]) -> RequestOptions:
    """Read the options of a request. A parameter wins over its header. Raises InvalidInput."""
    given = {}
    for parameter, header in SEARCH_OPTIONS.items():
        if parameter in parameters:
            given[parameter] = (parameter, parameters[parameter])
        elif header in headers:
            given[parameter] = (header, headers[header])
    name, mode = given.get(MODE_PARAMETER, (MODE, None))
    if mode is not None and mode not in _MODES:
        raise InvalidInput(name, f"must be one of {', '.join(_MODES)}, not [{mode}]")
    options = RequestOptions(None if mode is None else Mode(mode), given)
    options.check()
    return options
