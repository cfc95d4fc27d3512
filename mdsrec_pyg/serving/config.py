"""Options of the service: where it listens, what it reads, and every limit."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from mdsrec_pyg.configs import Config, check_at_least

__all__ = ["ServiceConfig"]

#: What this machine calls itself.
_LOCAL = "localhost,127.0.0.1,[::1]"
#: A name or an address without a port; an IPv6 address stands in brackets.
_HOST = re.compile(r"[\w.-]+|\[[0-9a-f:.]+\]", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ServiceConfig(Config):
    """Options of :func:`~mdsrec_pyg.serving.create_app` and :func:`~mdsrec_pyg.serving.serve`.

    A request beyond a limit is answered by an error that names it, never by a part of the answer.

    Args:
        host: Address to listen at; any but the machine's own is warned of, as there is no login.
        allowed_hosts: Names, separated by commas, under which requests may ask (their ``Host``), an
            IPv6 address in brackets; ``*``: any. Default: where ``host`` is the machine's own,
            this and localhost, so that no page of elsewhere asks under a name that it had resolved
            to here; else any.
        port: Port to listen at; 0 takes a free one.
        workers: Processes that answer. Several share the tables of the model, mapped from a copy of
            its folder among the temporary files.
        threads: Threads a process that score; one more is kept for requests of other options than
            those that take all of them.
        data: Folder of the data set: texts, known users, pictures.
        histories: File of histories whose users are known, in place of the data set's.
        images: Folder of pictures, called after the raw ids; default: ``images`` in ``data``.
        max_k: Largest ``k`` of a request.
        max_history: Most items of a history.
        max_items: Most items that ``include`` or ``exclude`` lists.
        max_body: Bytes of a request's body.
        max_waiting: Requests that wait to be scored; more are refused.
        max_requests: Requests at once, in whatever state; more are refused.
        max_connections: Open connections a process; more are refused.
        timeout: Seconds within which a request must have come in, and again been answered.
        batch_size: Requests scored together.
        batch_wait: Seconds that a request waits for others to be scored with.
        admin: Whether ``POST /admin/reload`` exists.
        log_contents: Whether the log holds histories, users and words searched for.
    """

    host: str = "127.0.0.1"
    allowed_hosts: str | None = None
    port: int = 8000
    workers: int = 1
    threads: int = 2
    data: str | None = None
    histories: str | None = None
    images: str | None = None
    max_k: int = 100
    max_history: int = 1000
    max_items: int = 10_000
    max_body: int = 1_000_000
    max_waiting: int = 256
    max_requests: int = 512
    max_connections: int = 1024
    timeout: float = 10.0
    batch_size: int = 64
    batch_wait: float = 0.002
    admin: bool = False
    log_contents: bool = False

    def __post_init__(self) -> None:
        """Checks the ranges."""
        super().__post_init__()
        check_at_least(self, 1, "workers", "max_k", "max_history", "max_items", "max_body")
        check_at_least(self, 1, "max_waiting", "max_requests", "max_connections", "batch_size")
        check_at_least(self, 1, "threads")
        check_at_least(self, 0, "port", "batch_wait")
        if not self.timeout > 0:
            raise ValueError(f"'timeout' must be above 0 (got {self.timeout:g})")
        if self.port > 65_535:
            raise ValueError(f"'port' must be at most 65535 (got {self.port})")
        for name in self.allowed_hosts.split(",") if self.allowed_hosts is not None else ():
            if name.strip() != "*" and not _HOST.fullmatch(name.strip()):
                raise ValueError(
                    "'allowed_hosts' must be names without scheme and port, separated by commas "
                    f"(got {name.strip()!r})"
                )

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine can reach ``host``."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def url_host(self) -> str:
        """``host`` as it stands in an address."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def hosts(self) -> frozenset[str] | None:
        """What ``allowed_hosts`` names, in lower case; ``None``: any."""
        if self.allowed_hosts is None:
            return None
        names = frozenset(name.strip().lower() for name in self.allowed_hosts.split(","))
        return None if "*" in names else names

    def listening(self) -> ServiceConfig:
        """The options of a service that listens at ``host`` itself: its hosts are known."""
        if self.allowed_hosts is not None or not self.is_local:
            return self
        return self.replace(allowed_hosts=f"{_LOCAL},{self.url_host}")
