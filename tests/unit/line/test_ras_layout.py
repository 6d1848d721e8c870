"""The structures of ras.h, byte for byte as 64-bit Windows has them, whatever machine this runs on."""

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.line import ras_api

WIDE = ctypes.sizeof(ctypes.c_void_p) == 8  # 64-bit Windows; the other numbers are those of 32 bits


def offsets(struct: type[ctypes.Structure]) -> list[int]:
    return [getattr(struct, field[0]).offset for field in struct._fields_]


def test_what_to_dial_has_the_oldest_size() -> None:
    assert ctypes.sizeof(ras_api.RASDIALPARAMSW) == (2108 if WIDE else 2104)
    assert offsets(ras_api.RASDIALPARAMSW) == [0, 4, 518, 776, 1034, 1548, 2062, 2096, 2100]


def test_a_connection_has_its_unaligned_handle_and_the_size_of_windows_xp() -> None:
    wide = [0, 4, 12, 526, 560, 818, 1340, 1344, 1360, 1364]
    assert ctypes.sizeof(ras_api.RASCONNW) == (1372 if WIDE else 1368)
    assert offsets(ras_api.RASCONNW) == (wide if WIDE else [0, 4, *(offset - 4 for offset in wide[2:])])


def test_a_connections_status_has_the_same_size_everywhere() -> None:
    assert ctypes.sizeof(ras_api.RASCONNSTATUSW) == 564
    assert offsets(ras_api.RASCONNSTATUSW) == [0, 4, 8, 12, 46, 304]


@pytest.mark.parametrize("struct", [ras_api.RASDIALPARAMSW, ras_api.RASCONNW, ras_api.RASCONNSTATUSW])
def test_a_structure_says_its_size_and_nothing_else(struct: type[ctypes.Structure]) -> None:
    empty = bytes(ras_api.sized(struct))
    assert empty == ctypes.sizeof(struct).to_bytes(4, "little") + bytes(ctypes.sizeof(struct) - 4)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=128))
def test_a_text_comes_back_as_it_was(text: str) -> None:
    units = (ctypes.c_uint16 * (ras_api.MAX_ENTRY + 1))()
    ras_api.put(units, "x" * ras_api.MAX_ENTRY)
    ras_api.put(units, text)
    assert ras_api.read(units) == text


@pytest.mark.parametrize("text", ["x" * 16, "𝄞" * 8, "a\0b"])
def test_a_text_that_does_not_fit_is_refused_and_nothing_is_written(text: str) -> None:
    units = (ctypes.c_uint16 * (ras_api.MAX_DOMAIN + 1))()
    with pytest.raises(ValueError, match="longer than 15"):
        ras_api.put(units, text)
    assert not any(units)


def test_a_text_without_an_end_is_read_to_the_end() -> None:
    units = (ctypes.c_uint16 * 4)(*b"abcd")
    assert ras_api.read(units) == "abcd"


def test_a_wiped_password_is_all_zeros() -> None:
    params = ras_api.sized(ras_api.RASDIALPARAMSW)
    ras_api.put(params.szPassword, "secret")
    ras_api.wipe(params.szPassword)
    assert not any(params.szPassword)


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        ((676, 678, 679, 680, 718, 809, 999, 5), ras_api.Kind.LATER),
        ((647, 648, 649, 691), ras_api.Kind.LOGIN),
        ((621, 623, 632, 703), ras_api.Kind.SETTINGS),
        ((602, 633, 756), ras_api.Kind.TAKEN),
    ],
)
def test_an_error_belongs_to_a_class(codes: tuple[int, ...], kind: ras_api.Kind) -> None:
    assert {ras_api.kind(code) for code in codes} == {kind}


def test_every_pause_for_a_person_is_an_error_that_is_not_tried_again_blindly() -> None:
    assert {ras_api.kind(code) for code in ras_api.PAUSED.values()} <= {ras_api.Kind.LOGIN, ras_api.Kind.SETTINGS}
