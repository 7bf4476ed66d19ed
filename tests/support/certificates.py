"""Certificates for tests: an authority, and servers' certificates that it signed or did not."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Authority:
    """A certificate authority below ``folder``; ``file`` is what clients trust."""

    def __init__(self, folder: Path, name: str = "Coalmine test CA") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.file = folder / "ca.pem"
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", f"/CN={name}", "-days", "2"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-keyout", str(folder / "ca.key"), "-out", str(self.file)),
        )

    def certificate(self, name: str, *, address: str = "IP:127.0.0.1", days: int = 2) -> Path:
        """A file with key and certificate of a server at ``address``; ``days`` below 0: expired."""
        key, request, signed = (self._folder / f"{name}.{end}" for end in ("key", "csr", "crt"))
        _openssl(
            *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", f"/CN={name}", "-addext", f"subjectAltName={address}"),
            *("-keyout", str(key), "-out", str(request)),
        )
        _openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.file)),
            *("-CAkey", str(self._folder / "ca.key"), "-CAcreateserial"),
            *("-copy_extensions", "copy", "-days", str(days), "-out", str(signed)),
        )
        pem = self._folder / f"{name}.pem"
        pem.write_text(key.read_text() + signed.read_text() + self.file.read_text())
        return pem


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
