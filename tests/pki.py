"""Certificates of a session: one CA that tests trust, and the kinds of certificate that nobody should."""

import hashlib
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import Certificate


class Pki(NamedTuple):
    """Paths for programs, contexts of a server for scripted peers."""

    ca: Path  # of the CA to trust (pf_tls_ca)
    cert: Path  # for localhost, 127.0.0.1, ::1
    key: Path
    pin: str  # pin=… of that certificate
    good: ssl.SSLContext
    wrong_host: ssl.SSLContext
    expired: ssl.SSLContext
    stranger: ssl.SSLContext  # for localhost, by a CA that nobody knows


def make(folder: Path) -> Pki:
    """Make a CA and its certificates in *folder*."""
    import trustme

    def context(leaf: trustme.LeafCert) -> ssl.SSLContext:
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        leaf.configure_cert(made)
        return made

    ca, other = trustme.CA(), trustme.CA()
    here = ("localhost", "127.0.0.1", "::1")
    leaf = ca.issue_cert(*here)
    past = datetime.now(UTC) - timedelta(days=30)
    expired = ca.issue_cert(*here, not_before=past, not_after=past + timedelta(days=1))
    paths = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    ca.cert_pem.write_to_path(str(paths[0]))
    paths[1].write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(paths[2]))
    der = ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode("ascii"))
    return Pki(
        *paths,
        pin="sha256:" + hashlib.sha256(der).hexdigest(),
        good=context(leaf),
        wrong_host=context(ca.issue_cert("elsewhere.example.org")),
        expired=context(expired),
        stranger=context(other.issue_cert(*here)),
    )


def self_signed(key: "RSAPrivateKey") -> "Certificate":
    """Return a certificate that *key* signed for itself, as one that is uploaded to a provider."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "popfetch")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return builder.sign(key, hashes.SHA256())
