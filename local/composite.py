"""Context managers that are made of other context managers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class CompositeContext(ABC):
    """A context manager that enters its parts together: if one fails, those already entered are exited."""

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            self._start(parts)
            self._parts = parts.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.close()

    @abstractmethod
    def _start(self, parts: ExitStack) -> None:
        """Enter each part through `parts`."""
