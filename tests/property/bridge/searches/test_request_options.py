"""Whatever a client asks for: it is refused under the name that the client used, or is something that a binding may say."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.bridge.proxy.headers import SEARCH_OPTIONS
from sidecar.bridge.searches.request_options import read_options
from sidecar.errors import InvalidInput
from sidecar.model import Fusion, IndexBinding, SearchBinding
from tests.support.bindings import an_index, bound

NUMBERS = st.one_of(st.integers(), st.floats()).map(str)
VALUES = st.one_of(
    st.text(max_size=12),
    NUMBERS,
    st.lists(NUMBERS, max_size=3).map(",".join),
    st.sampled_from(
        ["hybrid", "0.3,0.7", "1,0", "200", "rrf", "z_score", "l2:harmonic_mean", "min_max:", "m@1", "m@2"]
    ),
)
FUSIONS = st.sampled_from([Fusion(), Fusion(technique="rrf"), Fusion(technique="z_score", weights=(0.2, 0.8))])


@given(asked=st.dictionaries(st.sampled_from(sorted(SEARCH_OPTIONS)), VALUES), by_header=st.booleans(), fusion=FUSIONS)
def test_a_wish_is_refused_by_name_or_could_be_a_binding(
    asked: dict[str, str], by_header: bool, fusion: Fusion
) -> None:
    headers = {SEARCH_OPTIONS[name]: value for name, value in asked.items()}
    index = an_index(binding=bound(search=SearchBinding(field="embedding", fusion=fusion)))

    try:
        wished = (read_options({}, headers) if by_header else read_options(asked, {})).applied_to(index)
    except InvalidInput as error:
        refused = error.field
    else:
        assert wished.binding is not None
        assert IndexBinding.from_meta({"sidecar": wished.binding.to_meta()}) == wished.binding
        return
    assert refused in (headers if by_header else asked)
