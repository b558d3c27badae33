"""YAML with exact numbers, and the position of each value in its text.

What stands plain (without quotes) is read by YAML 1.2's JSON schema: `true`, `false`, `null` and numbers in JSON's grammar
are those, all else is text. So `no`, `1_000` and `0x10` are text, and no number ever passes through binary floats. Keys are
always text.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

import yaml

from tollgate.domain.quantities import number_of

MOST_VALUES = 200_000
"""Aliases multiply what a text holds: a text of a few lines can name more values than any memory."""
_LONGEST_PLAIN = 40  # digits of a number that is written without an exponent
_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")}
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}

Path = tuple[str | int, ...]


class Position(NamedTuple):
    """A line and a column of the text, both from 1."""

    line: int
    column: int


class TextError(ValueError):
    """The text is no YAML of the kind that is read here."""

    def __init__(self, position: Position, rule: str) -> None:
        super().__init__(rule)
        self.position = position
        self.rule = rule


class Document(NamedTuple):
    """The value of a text, and where its parts begin: a field where its name stands, an entry where it does."""

    value: Any
    positions: dict[Path, Position]

    def position(self, path: Path) -> Position:
        """Where this part begins; of a part that is not there, the part that would hold it."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, Position(1, 1))


def read(content: bytes) -> Document:
    """The document that the bytes hold. Raises TextError."""
    try:
        node = yaml.compose(content, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        before = content[: error.position] if isinstance(error.position, int) else b""
        raise TextError(Position(before.count(b"\n") + 1, 1), f"is no text in UTF-8 ({error.reason})") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
        raise TextError(position, f"is no YAML: {error.problem or error.context}") from error
    except RecursionError as error:
        raise TextError(Position(1, 1), "is nested too deeply") from error
    reader = _Reader()
    return Document(None if node is None else reader.value(node, (), ()), reader.positions)


def write(value: Any) -> str:
    """The value as YAML in block style, fields in their order. What is read back is the same value."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100_000)
    return text


def number_text(number: Decimal) -> str:
    """A decimal digit for digit, in JSON's grammar; with an exponent where it would be long."""
    if abs(number.adjusted()) < _LONGEST_PLAIN:
        return format(number, "f")
    return str(number).replace("E+", "E")


class _Loader(yaml.SafeLoader):
    """Leaves the reading of plain text to `_plain`."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {}  # noqa: RUF012 - as the library declares it


class _Reader:
    def __init__(self) -> None:
        self.positions: dict[Path, Position] = {(): Position(1, 1)}
        self._read = 0

    def value(self, node: yaml.Node, path: Path, above: tuple[yaml.Node, ...]) -> Any:
        position = _position(node)
        self._read += 1
        if self._read > MOST_VALUES or node in above or len(above) > 50:
            raise TextError(position, "names too many values, or itself, by aliases, or is nested too deeply")
        if node.tag not in _TAGS:
            raise TextError(position, f"has the tag {node.tag}, which is not read")
        if isinstance(node, yaml.ScalarNode):
            return _plain(node) if node.style is None else node.value
        inside = (*above, node)
        if isinstance(node, yaml.SequenceNode):
            entries = []
            for index, entry in enumerate(node.value):
                self.positions[(*path, index)] = _position(entry)
                entries.append(self.value(entry, (*path, index), inside))
            return entries
        return self._mapping(node, path, inside)

    def _mapping(self, node: yaml.Node, path: Path, inside: tuple[yaml.Node, ...]) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, entry in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise TextError(_position(key), "the name of a field must be text")
            if key.value in fields:
                raise TextError(_position(key), f"names {key.value} again")
            self.positions[(*path, key.value)] = _position(key)
            fields[key.value] = self.value(entry, (*path, key.value), inside)
        return fields


def _plain(node: yaml.ScalarNode) -> Any:
    text = node.value
    if text in _WORDS:
        return _WORDS[text]
    number = number_of(text)
    if number is None:
        return text
    return int(text) if text.lstrip("-").isdecimal() else number


def _position(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


class _Dumper(yaml.SafeDumper):
    """Entries of a list are indented, no aliases are written, and text that would be read as something else is quoted."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def text(self, text: str) -> yaml.Node:
        style = None
        if text in _WORDS or number_of(text) is not None:
            style = "'"
        elif not text.isprintable():
            style = '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)

    def number(self, number: Decimal) -> yaml.Node:
        text = number_text(number)
        read = self.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        return yaml.ScalarNode(read, text)  # written plain, whatever YAML 1.1 would take it for


_Dumper.add_representer(str, _Dumper.text)
_Dumper.add_representer(Decimal, _Dumper.number)
