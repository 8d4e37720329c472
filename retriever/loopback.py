"""Whether an address is of this machine alone, and whether it can be listened on."""

from __future__ import annotations

import ipaddress
import socket

from retriever.errors import ConfigError


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address, or the name of one."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_free(host: str, port: int) -> None:
    """Refuse a port that is taken before anything is loaded.

    :param port: 0 takes any.
    :raises ConfigError: if the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host} port {port} ({error.strerror}); "
                "stop what does, or choose another with --port"
            ) from error


def address(host: str, port: int) -> str:
    """Return the URL of a server."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
