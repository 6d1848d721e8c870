"""The Windows under wine, for the tests of this folder."""

from collections.abc import Callable

import pytest

from tests.wine import windows as place


@pytest.fixture(scope="session")
def windows(lack: Callable[[str], None]) -> place.Windows:
    """Return a Windows with a Python; it is put together by the first test that wants it, in half a minute."""
    try:
        return place.build()
    except place.CannotBuildError as error:
        lack(str(error))
        raise
