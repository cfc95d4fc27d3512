"""Requests that arrive together are scored together; what waits is bounded."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from mdsrec_pyg.serving.config import ServiceConfig
from mdsrec_pyg.serving.errors import ServiceError

__all__ = ["Batcher"]

Answer = Callable[[Sequence[Any]], Sequence[Any]]


@dataclass(eq=False)
class _Group:
    """What waits with the same options."""

    answer: Answer
    most: int
    waiting: deque[tuple[Any, asyncio.Future[Any]]]
    ready: bool = False


class Batcher:
    """Collects questions of the same options and answers them together in threads.

    The first question of a group waits ``batch_wait`` seconds for others, or until ``batch_size``
    have come. There are ``threads`` threads, and one more for a group none of whose batches is
    running: slow answers to some options do not keep others waiting.

    Args:
        config: ``threads``, ``batch_size``, ``batch_wait`` and ``max_waiting`` are read.
        on_batch: Told the size of each batch.

    Raises:
        ServiceError: In :meth:`ask`: ``max_waiting`` questions wait already.
    """

    def __init__(self, config: ServiceConfig, on_batch: Callable[[int], None] | None = None):
        self.config, self._on_batch = config, on_batch
        self._pool = ThreadPoolExecutor(config.threads + 1, thread_name_prefix="scoring")
        self._groups: dict[Hashable, _Group] = {}  # those first that have waited longest
        self._running: Counter[Hashable] = Counter()
        self.num_waiting = 0

    async def ask(
        self, key: Hashable, question: Any, answer: Answer, most: int | None = None
    ) -> Any:
        """The answer to a question, found together with others of the same ``key``.

        Args:
            key: Questions of the same key may be answered together.
            question: The question.
            answer: Takes a list of questions in a thread, returns a list of answers, each of
                which may be an exception.
            most: Most questions at a time; default: ``batch_size``.
        """
        if self.num_waiting >= self.config.max_waiting:
            raise ServiceError.busy(
                f"the service is busy: {self.num_waiting} requests wait already; try again"
            )
        loop = asyncio.get_running_loop()
        group = self._groups.get(key)
        if group is None:
            group = _Group(answer, most or self.config.batch_size, deque())
            self._groups[key] = group
            loop.call_later(self.config.batch_wait, self._set_ready, group)
        future: asyncio.Future[Any] = loop.create_future()
        group.waiting.append((question, future))
        self.num_waiting += 1
        if len(group.waiting) >= group.most:
            self._set_ready(group)
        return await future

    async def call(self, name: str, function: Callable[[], Any]) -> Any:
        """What a function returns, run in a thread under the same bounds, one at a time."""
        return await self.ask(("call", name), function, lambda calls: [c() for c in calls], 1)

    def _set_ready(self, group: _Group) -> None:
        group.ready = True
        self._start()

    def _start(self) -> None:
        """Starts what may run: as many batches as there are threads, group after group."""
        for key, group in list(self._groups.items()):
            while group.ready and self._may_run(key):
                batch = self._take(key, group)
                if batch:
                    self._run(key, group.answer, batch)
                if not group.waiting:
                    break

    def _may_run(self, key: Hashable) -> bool:
        running = sum(self._running.values())
        return running < self.config.threads + (not self._running[key])

    def _take(self, key: Hashable, group: _Group) -> list[tuple[Any, asyncio.Future[Any]]]:
        """The next questions of a group, without those whose askers have left."""
        batch: list[tuple[Any, asyncio.Future[Any]]] = []
        while group.waiting and len(batch) < group.most:
            question, future = group.waiting.popleft()
            self.num_waiting -= 1
            if not future.done():
                batch.append((question, future))
        del self._groups[key]
        if group.waiting:  # the others come first now
            self._groups[key] = group
        return batch

    def _run(
        self, key: Hashable, answer: Answer, batch: list[tuple[Any, asyncio.Future[Any]]]
    ) -> None:
        self._running[key] += 1
        if self._on_batch is not None:
            self._on_batch(len(batch))
        questions = [question for question, _ in batch]
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._pool, _answered, answer, questions)
        done.add_done_callback(lambda found: self._ended(key, batch, found))

    def _ended(
        self,
        key: Hashable,
        batch: list[tuple[Any, asyncio.Future[Any]]],
        found: asyncio.Future[list[Any]],
    ) -> None:
        self._running[key] -= 1
        if not self._running[key]:
            del self._running[key]
        if found.cancelled():
            answers: list[Any] = [ServiceError.busy("the service is stopping")] * len(batch)
        else:
            answers = found.result()
        for (_, future), value in zip(batch, answers, strict=True):
            if future.done():  # the asker has left
                continue
            if isinstance(value, BaseException):
                future.set_exception(value)
            else:
                future.set_result(value)
        self._start()

    def close(self) -> None:
        """Lets running batches end and takes no more."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _answered(answer: Answer, questions: list[Any]) -> list[Any]:
    """The answers; where all together fail, each alone: a question costs no other its answer."""
    try:
        return list(answer(questions))
    except Exception as error:
        if len(questions) == 1:
            return [error]
        return [part for question in questions for part in _answered(answer, [question])]
