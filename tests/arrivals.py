"""How bytes arrive: whole, in steps, cut anywhere. A parser must not care."""

from collections.abc import Iterator

from hypothesis import strategies as st

WHOLE = 1 << 30
STEPS = (WHOLE, 1, 2, 3, 5)


def in_steps(octets: bytes, step: int) -> Iterator[bytes]:
    """Yield *octets* in pieces of *step*."""
    return (octets[at : at + step] for at in range(0, len(octets), step))


def cut_at(octets: bytes, places: list[int]) -> Iterator[bytes]:
    """Yield *octets* in pieces that end at *places*, each a share of a thousand of the whole."""
    ends = sorted({len(octets) * place // 1000 for place in places} - {0, len(octets)})
    return (octets[start:end] for start, end in zip([0, *ends], [*ends, len(octets)], strict=True))


places = st.lists(st.integers(0, 1000), max_size=12)


def soup(*words: bytes) -> st.SearchStrategy[bytes]:
    """Bytes that are mostly made of *words*, which is where parsers trip."""
    return st.lists(st.one_of(st.sampled_from(words), st.binary(max_size=4)), max_size=30).map(b"".join)
