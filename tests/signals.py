"""Signals of processes that tests start."""

from __future__ import annotations

import signal


def heeds_ctrl_c() -> None:
    """For ``preexec_fn``: what a shell runs in the background is started deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
