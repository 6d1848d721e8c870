"""What all tests share."""

import pytest

from tests import pki as certificates


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> certificates.Pki:
    """Return the session's CA and certificates."""
    return certificates.make(tmp_path_factory.mktemp("pki"))
