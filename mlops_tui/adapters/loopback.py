"""Whether an address is this machine's own, where nobody else listens or looks."""

from __future__ import annotations

import ipaddress

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def is_loopback(host: str) -> bool:
    """Return whether a host is on loopback; a name other than localhost is not looked up.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "10.0.0.1", "example.org")]
    [True, True, True, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def nearest(host: str) -> str:
    """Return how this machine reaches a server that listens on a host: on all its addresses means on loopback, too.

    >>> nearest("0.0.0.0"), nearest("10.0.0.1")
    ('127.0.0.1', '10.0.0.1')
    """
    return EVERYWHERE.get(host, host)
