# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests of TLS: authorities, and what they sign. Each is FOLDER/NAME.pem and its key FOLDER/NAME.key."""
import subprocess

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def _openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def authority(folder, name):
    pem, key = f"{folder}/{name}.pem", f"{folder}/{name}.key"
    _openssl("req", "-x509", *NEW_KEY, "-keyout", key, "-out", pem, "-days", "2", "-subj", f"/CN={name}")
    return pem, key


def certificate(folder, name, signer, purpose=None, subject=None, days=2):
    """Of 127.0.0.1. purpose: serverAuth or clientAuth, and that only; signer: as authority() gave it."""
    pem, key, request, extensions = (f"{folder}/{name}.{end}" for end in ("pem", "key", "csr", "ext"))
    with open(extensions, "w") as file:
        file.write("subjectAltName=IP:127.0.0.1\n" + (f"extendedKeyUsage={purpose}\n" if purpose else ""))
    _openssl("req", *NEW_KEY, "-keyout", key, "-out", request, "-utf8", "-subj", subject or f"/CN={name}")
    _openssl("x509", "-req", "-in", request, "-CA", signer[0], "-CAkey", signer[1], "-CAcreateserial", "-out", pem, "-days", str(days),
             "-extfile", extensions)
    return pem, key
