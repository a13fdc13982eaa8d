"""Certificates that tests make."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


def certificate(folder: Path, names: str = "IP:127.0.0.1") -> tuple[str, str]:
    """The files of a certificate that nobody vouches for, and of its key. ``names``: as OpenSSL writes them."""
    words = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout key.pem "
        f"-out cert.pem -subj /CN=localhost -addext subjectAltName={names}"
    )
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(words.split(), cwd=folder, capture_output=True).returncode:
        pytest.skip("openssl makes no certificate")
    return f"{folder}/cert.pem", f"{folder}/key.pem"
