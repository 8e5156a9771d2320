"""What to mend where no connection to the vendor can be opened."""

from __future__ import annotations

import socket
import ssl
from typing import Final

# OpenSSL's codes of why a certificate is not accepted.
_OF_TIME: Final = {9, 10}
_UNTRUSTED: Final = {2, 18, 19, 20, 21}
_OF_ANOTHER_HOST: Final = {62, 64}


def remedy_of(error: BaseException) -> str:
    """In words; empty where the error says all that is known."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(getattr(error, "verify_code", 0))
    if isinstance(error, ssl.SSLError):
        return "what answers there may speak no TLS: check AIGC_ENDPOINT and HTTPS_PROXY"
    if isinstance(error, TimeoutError) and "handshake" in str(error):
        return "it was reached, but does not speak TLS: check AIGC_ENDPOINT, HTTPS_PROXY and firewalls"
    causes = (error, error.__cause__, error.__context__)
    if any(isinstance(each, socket.gaierror) for each in causes):
        return "check the host in AIGC_ENDPOINT, and this machine's name resolution"
    return ""


def _of_certificate(code: int) -> str:
    if code in _OF_TIME:
        return "whoever serves that certificate must renew it, unless this machine's clock is wrong"
    if code in _OF_ANOTHER_HOST:
        return "it is another host's certificate: check AIGC_ENDPOINT and HTTPS_PROXY"
    if code in _UNTRUSTED:
        return "where a proxy or a CA of your own signs, name its certificates in REQUESTS_CA_BUNDLE"
    return "check AIGC_ENDPOINT and REQUESTS_CA_BUNDLE"
