"""Whether the files of pf_tls_ca and pf_tls_cert are what TLS needs, asked before anything else is done."""

from collections.abc import Iterator
from pathlib import Path

from lib.net import wire
from lib.visible import visible


def problems(authorities: Path | None, cert: Path | None, key: Path | None) -> Iterator[str]:
    """Yield what is wrong with files that TLS needs, each with its setting in front."""
    if authorities is not None and (why := _why_not(authorities, None)):
        yield f"pf_tls_ca: {visible(str(authorities))} {why}"
    if cert is not None and (why := _why_not(None, (cert, key))):
        where = f"{visible(str(cert))} with its key in {visible(str(key or cert))}"
        yield f"pf_tls_cert: {where} {why}"


def _why_not(authorities: Path | None, identity: wire.Identity | None) -> str:
    import ssl  # noqa: PLC0415 - only who names such files pays for it

    try:
        wire.context(authorities, identity, by_authority=True)
    except ssl.SSLError as error:
        told = (error.reason or "").replace("_", " ").lower()
        return f"is no PEM that TLS can use, or the key has a passphrase or is another one's ({told or error})"
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return ""
