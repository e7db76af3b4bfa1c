"""What several writes as one may say of what others still tell."""

from itertools import product

from prefs.core.changes import Coherence


def test_of_several_writes_the_worst_is_said() -> None:
    whole, unfenced, degraded = Coherence.WHOLE, Coherence.UNFENCED, Coherence.DEGRADED
    for said in product((whole, unfenced, degraded), repeat=2):
        expected = degraded if degraded in said else unfenced if unfenced in said else whole
        assert Coherence.worst(said) is expected, said
    assert Coherence.worst(()) is whole
