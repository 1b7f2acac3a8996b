"""Reads YAML and says where each mistake lies: file, line, what is wrong, how to mend it, and all of them at once."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from sentinel.problems import Problem, Problems

LARGEST = 4 * 1024 * 1024
"""Bytes of a file that a person writes. A larger one is not read."""

MOST_NODES = 200_000
"""Nodes of a document with its aliases resolved: nested aliases make a page of text into gigabytes ("billion laughs")."""

M = TypeVar("M", bound=BaseModel)
Path_ = tuple[int | str, ...]


class Lines:
    """On which line of a file each key and value stands."""

    def __init__(self, root: yaml.Node | None) -> None:
        """Walk the composed document once."""
        self._lines: dict[Path_, int] = {}
        if root is not None:
            self._walk(root, ())

    def of(self, path: Path_) -> int:
        """Return the line of *path*, or of the nearest part above it."""
        while path not in self._lines and path:
            path = path[:-1]
        return self._lines.get(path, 1)

    def below(self, path: Path_) -> Lines:
        """Return the lines of the part that *path* names, as of a document of its own."""
        part = Lines(None)
        part._lines = {one[len(path) :]: line for one, line in self._lines.items() if one[: len(path)] == path}
        return part

    def without(self, path: Path_) -> Lines:
        """Return the lines of the document that is left when *path* is deleted: what stood behind it in a list moves up."""
        left = Lines(None)
        depth = len(path) - 1
        for one, line in self._lines.items():
            if one[: depth + 1] == path:
                continue
            moves = isinstance(path[-1], int) and len(one) > depth and one[:depth] == path[:depth]
            index = one[depth] if moves else None
            if isinstance(index, int) and index > int(path[-1]):
                one = (*one[:depth], index - 1, *one[depth + 1 :])
            left._lines[one] = line
        return left

    def _walk(self, node: yaml.Node, path: Path_) -> None:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*path, key.value)
                self._lines[inner] = key.start_mark.line + 1
                self._walk(value, inner)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self._walk(value, (*path, index))


def load(path: Path) -> tuple[Any, Lines]:
    """Read a YAML file without running anything in it.

    Raises:
        Problems: It cannot be read, is no YAML, gives a key twice, or grows beyond measure.
    """
    name = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise Problems(
            [Problem(name, 0, f"cannot be read: {error.strerror}", "Check the path and the permissions.")]
        ) from error
    return parsed(data, name)


def parsed(data: bytes, name: str) -> tuple[Any, Lines]:
    """Return what `load` does, of the bytes of a document that is called *name*.

    Raises:
        Problems: As `load` does.
    """
    if len(data) > LARGEST:
        raise Problems([Problem(name, 0, f"is larger than {LARGEST} bytes", "Is it the right file?")])
    try:
        root = yaml.compose(data, Loader=_Composer)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise Problems(
            [Problem(name, mark.line + 1 if mark else 0, f"no YAML: {what}", "Check the indentation and quotes.")]
        ) from error
    except (ValueError, RecursionError) as error:
        raise Problems([Problem(name, 0, f"no YAML: {error}", "Save it as UTF-8 text, and nest it less.")]) from error
    if root is None:
        return {}, Lines(None)
    problems = list(_oversized(root, name)) or list(_twice(root, name))
    if problems:
        raise Problems(problems)
    return _tree(root, name), Lines(root)


def validate(model: type[M], path: Path) -> M:
    """Read *path* and return it as *model*.

    Raises:
        Problems: Every mistake in it.
    """
    tree, lines = load(path)
    return validated(model, tree, lines, str(path))


def validated(model: type[M], tree: Any, lines: Lines, name: str) -> M:
    """Return what `load` gave as *model*.

    Raises:
        Problems: Every mistake in it.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise Problems([_problem(model, tree, lines, name, dict(one)) for one in error.errors(include_url=False)]) from error


def salvaged(model: type[M], tree: Any, lines: Lines, name: str) -> tuple[M | None, Lines, list[Problem]]:
    """Return what is left of a document when its wrong parts are taken out, the lines of that, and every mistake.

    A wrong part is an entry of a list such as one source, or a whole key. What is left is for finding further mistakes in
    the same round, not for use; None when too little is.
    """
    tree, problems = copy.deepcopy(tree), list[Problem]()
    while True:
        try:
            return model.model_validate(tree), lines, problems
        except ValidationError as error:
            errors = error.errors(include_url=False)
        # That something is missing now may be our own doing.
        told = errors if not problems else [one for one in errors if one["type"] not in ("missing", "too_short")]
        problems += [_problem(model, tree, lines, name, dict(one)) for one in told]
        parts = {_part(_real(tree, one["loc"])) for one in errors}
        for part in sorted(parts, key=lambda part: [str(step).zfill(9) for step in part], reverse=True):
            if not _deleted(tree, part):
                return None, lines, problems
            lines = lines.without(part)


def _part(path: Path_) -> Path_:
    return path[:2] if len(path) > 1 and isinstance(path[1], int) else path[:1]


def _deleted(tree: Any, path: Path_) -> bool:
    """Delete *path* from *tree*; return whether it was there."""
    try:
        for step in path[:-1]:
            tree = tree[step]
        del tree[path[-1]]
    except (LookupError, TypeError):
        return False
    return True


# libyaml's composer where PyYAML was built with it: ten times the pace, the same nodes and marks.
_Composer: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _tree(root: yaml.Node, name: str) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(root)
    # An explicit tag on a value of another kind, such as "!!bool maybe", leaves PyYAML by whatever its lookup raises.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise Problems(
            [Problem(name, mark.line + 1 if mark else 0, f"no YAML: {error}", "Write plain values only.")]
        ) from error


def _twice(node: yaml.Node, name: str) -> Iterator[Problem]:
    """Yield a problem for each key that a mapping gives twice; PyYAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                yield Problem(name, line, "a key is a single word", "Write key: value.")
                continue
            if key.value in seen:
                yield Problem(
                    name, line, f"the key {key.value!r} is given twice", f"Line {seen[key.value]} has it already; keep one."
                )
            seen.setdefault(key.value, line)
            yield from _twice(value, name)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _twice(value, name)


def _oversized(root: yaml.Node, name: str) -> Iterator[Problem]:
    left = MOST_NODES
    todo = [root]
    while todo:
        node = todo.pop()
        left -= 1
        if left < 0:
            yield Problem(name, 1, "grows beyond measure when its aliases are resolved", "Write it out without nested aliases.")
            return
        if isinstance(node, yaml.MappingNode):
            todo += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            todo += node.value


def _problem(model: type[BaseModel], tree: Any, lines: Lines, name: str, error: dict[str, Any]) -> Problem:
    path = _real(tree, error["loc"])
    line = lines.of(path)
    where = f" in {_worded(path[:-1])}" if len(path) > 1 else ""
    last = error["loc"][-1] if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        known = _siblings(model, error["loc"][:-1])
        close = difflib.get_close_matches(str(last), known, n=1)
        mend = f"Did you mean {close[0]!r}?" if close else f"Known here: {', '.join(sorted(known))}." if known else "Remove it."
        return Problem(name, line, f"unknown key {last!r}{where}", mend)
    if error["type"] == "missing":
        return Problem(name, line, f"the key {last!r} is missing{where}", "Add it.")
    what = str(error["msg"]).removeprefix("Value error, ")
    subject = f"{_worded(path)}: " if path else ""
    return Problem(
        name, line, f"{subject}{what}", "" if error["type"] == "value_error" else f"It says {_short(error.get('input'))}."
    )


def _real(tree: Any, loc: Sequence[int | str]) -> Path_:
    """Return the part of a pydantic location that is in the file: unions add the name of the branch they took."""
    path: list[int | str] = []
    here: Any = tree
    for part in loc[:-1] if loc else ():
        inside_list = isinstance(here, list) and isinstance(part, int) and part < len(here)
        if inside_list or (isinstance(here, dict) and part in here):
            path.append(part)
            here = here[part]
    return (*path, loc[-1]) if loc else ()


def _siblings(model: type[BaseModel], loc: Sequence[int | str]) -> list[str]:
    """Return the keys that a location's model knows, as far as it can be followed."""
    found: set[str] = set()
    todo: list[Any] = [model]
    for part in loc:
        todo = [inner for one in todo for inner in _fields(one, part)]
    for one in todo:
        if isinstance(one, type) and issubclass(one, BaseModel):
            found |= {field.alias or key for key, field in one.model_fields.items()}
    return sorted(found)


def _fields(one: Any, part: int | str) -> list[Any]:
    if isinstance(one, type) and issubclass(one, BaseModel):
        field = one.model_fields.get(str(part))
        return _models(field.annotation) if field else [one]  # a union's branch name: stay
    return [one]


def _models(annotation: Any) -> list[Any]:
    """Return the models inside an annotation such as `list[A | B] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models(inner)]


def _worded(path: Sequence[int | str]) -> str:
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return f"'{text}'"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
