"""Sockets, TLS and certificates."""

from __future__ import annotations

import socket
import ssl
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx2
import pytest
from cryptography import x509

from tests.server.conftest import Bench, on_loopback
from vita.errors import ConfigError
from vita.server import certificate
from vita.server.serving import Endpoint, address_of, listen


def test_https_with_a_certificate_made_here(tmp_path: Path) -> None:
    made, key = certificate.self_signed(tmp_path / "tls", ["localhost", "127.0.0.1"])
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    with on_loopback(Bench().app, ssl_certfile=made, ssl_keyfile=key) as url:
        assert url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=str(made))
        assert httpx2.get(f"{url}/health", verify=trusting).json()["status"] == "ok"
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{url}/health")


def test_a_certificate_is_kept_while_it_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = certificate.self_signed(tmp_path, ["localhost"])[0].read_bytes()
    assert certificate.self_signed(tmp_path, ["localhost"])[0].read_bytes() == first
    second = certificate.self_signed(tmp_path, ["localhost", "10.0.0.1"])[0].read_bytes()
    assert second != first
    monkeypatch.setattr(certificate, "_RENEWED_BEFORE", timedelta(days=91))
    third = certificate.self_signed(tmp_path, ["localhost"])[0].read_bytes()
    assert third != second
    assert x509.load_pem_x509_certificate(third).not_valid_after_utc < datetime.now(timezone.utc) + timedelta(days=91)


def test_names_of_this_machine() -> None:
    assert {"localhost", "127.0.0.1", "vita.example"} <= set(certificate.names_of_this_machine("vita.example"))
    assert "0.0.0.0" not in certificate.names_of_this_machine("0.0.0.0")


def test_an_address_that_is_taken() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(ConfigError, match=r"cannot listen on .*; give another --host or --port"),
    ):
        listen(Endpoint(port=taken.getsockname()[1]))


@pytest.mark.parametrize("endpoint", [Endpoint(host="203.0.113.7"), Endpoint(host="no.invalid")])
def test_addresses_that_are_not_ours(endpoint: Endpoint) -> None:
    with pytest.raises(ConfigError, match="cannot listen on"):
        listen(endpoint)


@pytest.mark.parametrize("port", [-1, 65536, 70_000])
def test_ports_that_are_none(port: int) -> None:
    with pytest.raises(ConfigError, match="--port is out of range"):
        Endpoint(port=port)


@pytest.mark.parametrize(
    ("host", "tls", "start"),
    [
        ("127.0.0.1", None, "http://127.0.0.1:"),
        ("0.0.0.0", "self-signed", "https://localhost:"),
        ("::1", None, "http://[::1]:"),
    ],
)
def test_the_address_that_is_printed(host: str, tls: str | None, start: str) -> None:
    endpoint = Endpoint(host=host, port=0, tls=tls)
    with listen(endpoint) as listening:
        assert address_of(endpoint, listening) == f"{start}{listening.getsockname()[1]}"


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.example", False)],
)
def test_what_is_local(host: str, local: bool) -> None:
    assert Endpoint(host=host).is_local is local


@pytest.mark.parametrize("tls", ["yes", "missing.crt,missing.key"])
def test_tls_that_is_not_understood(tls: str) -> None:
    with pytest.raises(ConfigError, match="--tls"):
        Endpoint(tls=tls).certificate()
