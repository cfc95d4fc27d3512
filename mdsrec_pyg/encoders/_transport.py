"""HTTP connections to addresses that were looked at first."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import contextmanager
from typing import Any

import anyio
import httpcore
import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# NAT64 (RFC 6052): the last four bytes are an IPv4 address that the network reaches.
NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Protocol assignments (RFC 6890), and a metadata service: Python before 3.12 calls most public.
ASSIGNED = ipaddress.ip_network("192.0.0.0/24")


class PrivateAddressError(Exception):
    """The host has an address inside the local network."""


class UnknownHostError(Exception):
    """The name service knows no such host."""


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet.

    Not private, loopback, link-local (the metadata service of clouds), shared, reserved, multicast
    or unspecified; nor is an IPv6 address that stands for such an IPv4 address.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local or address.teredo is not None:
            return False
    if address in ASSIGNED:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, IPv4 first."""
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise httpcore.ConnectError(f"the name service does not answer for {host}") from error
        raise UnknownHostError(f"unknown host {host}") from error
    except UnicodeError as error:
        raise UnknownHostError(f"no host name: {host}") from error
    found.sort(key=lambda entry: entry[0] == socket.AF_INET6)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the very address that was looked at.

    Looking a name up, checking it and then connecting by name would ask the name service twice, and
    the second answer may be another one (DNS rebinding). TLS still checks the certificate against
    the name.

    Args:
        allow_private: Whether addresses inside the local network are connected to.
    """

    def __init__(self, allow_private: bool) -> None:
        self.allow_private = allow_private
        self.backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connects to the first address that answers."""
        addresses = await resolve(host, port)
        if not self.allow_private:
            for address in addresses:
                # A scope (fe80::1%eth0) belongs to link-local addresses only.
                if not is_public(ipaddress.ip_address(address.partition("%")[0])):
                    raise PrivateAddressError(f"{host} is {address}, inside the local network")
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self.backend.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await self.backend.sleep(seconds)


class CheckedTransport(httpx.AsyncBaseTransport):
    """What an ``httpx.AsyncClient`` sends requests through; proxies are not used.

    Args:
        allow_private: See :class:`CheckedBackend`.
        max_connections: Connections at a time.
    """

    def __init__(self, allow_private: bool, max_connections: int) -> None:
        self.pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=10.0,
            network_backend=CheckedBackend(allow_private),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request; redirects are the client's."""
        url = request.url
        with _httpx_errors():
            response = await self.pool.handle_async_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                    ),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Stream(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Closes the connections."""
        await self.pool.aclose()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self.response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _httpx_errors():
            async for part in self.response.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self.response.aclose()


@contextmanager
def _httpx_errors() -> Any:
    """Errors of httpcore as httpx's of the same name."""
    try:
        yield
    except (
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
    ) as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error
