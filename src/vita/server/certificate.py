"""A self-signed certificate for `vita serve --tls self-signed`. Called by `serving.py`."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_DAYS = 90
_RENEWED_BEFORE = timedelta(days=7)


def self_signed(folder: Path, names: Iterable[str]) -> tuple[Path, Path]:
    """Paths of a certificate for `names` and of its key, in `folder`.

    One that was made before is used again while it is valid and holds the names, so that a browser that was told to
    trust it need not be told again. Only the user may read the key.
    """
    names = list(dict.fromkeys(names))
    certificate_path, key_path = folder / "self-signed.crt", folder / "self-signed.key"
    if not (key_path.is_file() and _is_good(certificate_path, names)):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key, certificate = _make(names)
        _write_private(key_path, key)
        certificate_path.write_bytes(certificate)
    return certificate_path, key_path


def names_of_this_machine(host: str) -> list[str]:
    """The names and addresses under which a server bound to `host` may be reached."""
    names = ["localhost", "127.0.0.1", "::1", socket.gethostname()]
    if not _is_wildcard(host):
        return [*names, host]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing: only asks which of our addresses would be used
            names.append(probe.getsockname()[0])
        except OSError:
            pass
    return names


def _is_wildcard(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def _is_good(path: Path, names: list[str]) -> bool:
    """Whether there is a certificate that is valid for a while yet and for all the names."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    left = certificate.not_valid_after_utc - datetime.now(timezone.utc)
    return left > _RENEWED_BEFORE and {_general_name(name) for name in names} <= set(found)


def _make(names: list[str]) -> tuple[bytes, bytes]:
    """Key and certificate as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "vita serve")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded, certificate.public_bytes(serialization.Encoding.PEM)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
