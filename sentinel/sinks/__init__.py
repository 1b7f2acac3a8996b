"""Where alerts go. Each module of this folder that has a `SINK` is one kind of sink, and is called as the kind is."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, MutableMapping

from sentinel.sinks.kind import SinkKind


class Kinds(MutableMapping[str, SinkKind]):
    """The kinds of sink by name. A kind's module, and the libraries that it needs, are imported when it is asked for."""

    def __init__(self) -> None:
        """Import nothing yet."""
        self._known: dict[str, SinkKind] = {}

    def __getitem__(self, name: str) -> SinkKind:
        """Return the kind called *name*.

        Raises:
            KeyError: There is none.
        """
        if name not in self._known:
            if name not in _modules():
                raise KeyError(name)
            module = importlib.import_module(f"{__name__}.{name}")
            if not hasattr(module, "SINK"):
                raise KeyError(name)
            self._known[name] = module.SINK
        return self._known[name]

    def __setitem__(self, name: str, kind: SinkKind) -> None:
        """Add a kind that lies elsewhere."""
        self._known[name] = kind

    def __delitem__(self, name: str) -> None:
        """Take a kind away that lies elsewhere."""
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all kinds, in their order; this imports every one of them."""
        return iter(sorted({*self._known, *(name for name in _modules() if self.get(name))}))

    def __len__(self) -> int:
        """Return how many kinds there are."""
        return len(list(iter(self)))


def _modules() -> set[str]:
    return {module.name for module in pkgutil.iter_modules(__path__)}


KINDS = Kinds()
