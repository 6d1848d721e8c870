"""Power cuts, at any call and at every octet of what was written last: nothing lost, nothing altered.

What comes twice is what the journal, synced in groups, had not yet on disk; that is counted, and is no surprise.
"""

from collections import Counter

import pytest

from tests.faults import disk, powercut, torture
from tests.faults.disk import EVERYTHING, FOLDER, NOTHING, SECTOR, Disk, Op
from tests.faults.mails import chance

SEED = "ci"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_power_cut_at_any_call_loses_nothing() -> None:
    told: list[str] = []
    total = torture.table(torture.spread(powercut.at_any_call, torture.in_chunks(SEED, 240)), told.append)
    assert total.clean, "\n".join(told)
    assert total.kills == 240


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_power_cut_within_the_last_records_loses_nothing() -> None:
    told: list[str] = []
    jobs = [(SEED, first, 20) for first in range(2)]
    total = torture.table(torture.spread(powercut.at_the_last_octets, jobs), told.append)
    assert total.clean, "\n".join(told)
    assert all(f"within {file}" in "\n".join(told) for file in powercut.FILES)


def after(*ops: Op) -> Disk:
    model = Disk()
    for op in ops:
        model.apply(op)
    return model


def test_only_what_was_synced_is_certain() -> None:
    made = Op(1, "create", 1, "a")
    wrote = Op(2, "write", 1, data=b"one")
    named = Op(4, "sync", FOLDER)
    assert after(made, wrote).left(NOTHING) == {}
    assert after(made, wrote, named).left(NOTHING) == {"a": b""}
    assert after(made, wrote, Op(3, "sync", 1)).left(NOTHING) == {}
    synced = after(made, wrote, Op(3, "sync", 1), named, Op(5, "write", 1, place=3, data=b"two"))
    assert (synced.left(NOTHING), synced.left(EVERYTHING)) == ({"a": b"one"}, {"a": b"onetwo"})
    synced.apply(Op(6, "truncate", 1, place=1))
    assert synced.left(EVERYTHING) == {"a": b"o"}


def test_a_new_name_is_certain_when_the_folder_was_synced() -> None:
    made = (Op(1, "create", 1, "a.new"), Op(2, "write", 1, data=b"x"), Op(3, "sync", 1), Op(4, "sync", FOLDER))
    renamed = after(*made, Op(5, "replace", FOLDER, "a.new/a"))
    assert (renamed.left(NOTHING), renamed.left(EVERYTHING)) == ({"a.new": b"x"}, {"a": b"x"})
    renamed.apply(Op(6, "sync", FOLDER))
    renamed.apply(Op(7, "unlink", FOLDER, "a"))
    assert (renamed.left(NOTHING), renamed.left(EVERYTHING)) == ({"a": b"x"}, {})


def test_a_torn_write_ends_where_it_was_torn() -> None:
    wrote = Op(2, "write", 1, data=b"two")
    model = after(Op(0, "exists", 1, "a", data=b"one"), Op(1, "sync", 1), wrote)
    assert model.left(disk.torn(wrote, 1)) == {"a": b"tne"}


def test_every_sector_is_of_a_moment_of_its_own() -> None:
    old, new = b"o" * SECTOR * 2, b"n" * SECTOR * 2
    model = after(Op(0, "exists", 1, "a", data=old), Op(1, "sync", 1), Op(2, "write", 1, data=new))
    dice = chance("sectors")
    seen = Counter(model.left(disk.at_chance(dice))["a"] for _ in range(200))
    assert set(seen) == {first * SECTOR + second * SECTOR for first in (b"o", b"n") for second in (b"o", b"n")}
