"""What a client asks of one request's searches, in parameters or headers, instead of what the binding says.

Pure. The values are checked by the model of the binding itself, so that both allow the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import ValidationError

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.bridge.proxy import headers as wire
from sidecar.bridge.searches.outcome import Mode
from sidecar.errors import InvalidInput
from sidecar.jsontext import Json
from sidecar.model import IndexBinding, SearchBinding

_MODES: Final = (Mode.OFF, Mode.LEXICAL, Mode.SEMANTIC, Mode.HYBRID)
_DEPTHS: Final = {"k": wire.K_PARAMETER, "window": wire.WINDOW_PARAMETER}


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for; without anything, the bindings decide."""

    mode: Mode | None = None
    given: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # by parameter: the client's own name, the value

    @property
    def changes_binding(self) -> bool:
        """Whether anything but the mode is asked for."""
        return not self.given.keys() <= {wire.MODE_PARAMETER}

    @property
    def sets_depth(self) -> bool:
        """Whether the client says how many candidates are looked at."""
        return any(name in self.given for name in _DEPTHS.values())

    def applied_to(self, index: BoundIndex) -> BoundIndex:
        """The index as if it were bound like this. Raises InvalidInput for what cannot be had there."""
        if not self.changes_binding or index.binding is None or index.binding.search is None:
            return index
        vector_field = self._field(index.name, index.binding, index.binding.search)
        search = self._search(index.binding.search.model_copy(update={"field": vector_field}))
        binding = index.binding.model_copy(update={"search": search})
        return replace(index, binding=binding, sees_all_sources=vector_field not in index.unseen)

    def check(self) -> None:
        """Raise InvalidInput for values that no binding allows."""
        if self.changes_binding:
            self._search(SearchBinding(field=""))

    def _field(self, index: str, binding: IndexBinding, search: SearchBinding) -> str:
        """The vector field to search: the one of the model version that is asked for."""
        if wire.MODEL_PARAMETER not in self.given:
            return search.field
        name, model = self.given[wire.MODEL_PARAMETER]
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
        """A technique that is asked for comes with the default combination, and rrf with its only weights."""
        fusion: dict[str, Json] = search.fusion.model_dump(mode="json")
        if wire.FUSION_PARAMETER in self.given:
            technique, colon, combination = self.given[wire.FUSION_PARAMETER][1].partition(":")
            weights: dict[str, Json] = {} if technique == "rrf" else {"weights": fusion["weights"]}
            fusion = {"technique": technique, **({"combination": combination} if colon else {}), **weights}
        if wire.WEIGHTS_PARAMETER in self.given:
            fusion["weights"] = list(self.given[wire.WEIGHTS_PARAMETER][1].split(","))
        return fusion

    def _refusal(self, error: ValidationError) -> InvalidInput:
        first = error.errors()[0]
        place, *inner = first["loc"]
        if place in _DEPTHS:
            parameter = _DEPTHS[str(place)]
        elif "weights" in inner or wire.FUSION_PARAMETER not in self.given:
            parameter = wire.WEIGHTS_PARAMETER
        else:
            parameter = wire.FUSION_PARAMETER
        name, value = self.given[parameter]
        return InvalidInput(name, f"{first['msg'].removeprefix('Value error, ')}; got [{value}]")


def read_wish(parameters: Mapping[str, str], headers: Mapping[str, str]) -> Wish:
    """What a request asks for; parameters win over headers. Raises InvalidInput."""
    given = {}
    for parameter, header in wire.WISHES.items():
        if parameter in parameters:
            given[parameter] = (parameter, parameters[parameter])
        elif header in headers:
            given[parameter] = (header, headers[header])
    name, mode = given.get(wire.MODE_PARAMETER, (wire.MODE, None))
    if mode is not None and mode not in _MODES:
        raise InvalidInput(name, f"must be one of {', '.join(_MODES)}, not [{mode}]")
    wish = Wish(None if mode is None else Mode(mode), given)
    wish.check()
    return wish
