# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests: a server's own, and a client's signed by it."""

import ssl
import subprocess


def openssl(directory, *words):
    subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True,
                   stdin=subprocess.DEVNULL)


def server_certificate(httpd, *more):
    """Makes a certificate for a.example; returns the lines of its virtual host."""
    httpd.load("ssl", "socache_shmcb")
    openssl(httpd.root, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=a.example", "-keyout", "key.pem", "-out", "cert.pem")
    httpd.expect_log(r"AH01873", r"AH01906", r"AH01909")
    return ["SSLEngine On", f'SSLCertificateFile "{httpd.root}/cert.pem"',
            f'SSLCertificateKeyFile "{httpd.root}/key.pem"', *more]


def client_certificate(httpd, subject):
    """A certificate that the server's has signed: (certificate file, key file)."""
    openssl(httpd.root, "req", "-newkey", "rsa:2048", "-nodes", "-subj", subject,
            "-keyout", "client.key", "-out", "client.csr")
    openssl(httpd.root, "x509", "-req", "-in", "client.csr", "-CA", "cert.pem", "-CAkey",
            "key.pem", "-CAcreateserial", "-days", "2", "-out", "client.pem")
    return httpd.root / "client.pem", httpd.root / "client.key"


def trust(httpd, client=None):
    """A client's context that knows the server's certificate."""
    context = ssl.create_default_context(cafile=httpd.root / "cert.pem")
    context.check_hostname = False
    if client:
        context.load_cert_chain(*client)
    return context
