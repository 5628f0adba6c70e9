# SPDX-License-Identifier: ISC
"""The language of entry_checks.yaml: an expression in Python's syntax, as C and as a function.

    NAME            an operand: a field, a capability, an input
    NAME.BITS       bits of it by their name, shifted down
    LAYOUT.VALUE    a named value of a layout
    0x1f            a number
    and or not, == != < <= > >=, in (a, b), & | ^ ~ << >> + -, a if b else c
    functions       those of FUNCTIONS

All numbers have 64 bits and no sign.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Callable, Mapping, Protocol

from gen.errors import Errors, Message
from gen.load import Map

SYNTAX = Message("check '{check}': '{text}' is no expression", "Python's syntax, on one line")
NO_SUCH_PART = Message("check '{check}': '{part}' has no place in a check",
                       "names, numbers, bits, operators and the functions of entry_expr.py")
NO_NAME = Message("check '{check}': there is no '{name}'",
                  "a field, a control word, a capability MSR or an input")
NO_BITS = Message("check '{check}': '{operand}' has no bits called '{bits}'", "one of {known}")
NO_FUNCTION = Message("check '{check}': there is no function '{name}'", "one of {known}")
ARGUMENTS = Message("check '{check}': {name}() has {count} arguments", "it takes {expected}")
NO_LAYOUT = Message("check '{check}': reserved() of '{name}', whose bits have no names",
                    "a field with a layout, or write the mask")
NOT_A_CONDITION = Message("check '{check}': '{part}' is a number where a condition must stand",
                          "compare it with something")
NOT_A_NUMBER = Message("check '{check}': '{part}' is a condition where a number must stand",
                       "a field, its bits or a number")
NEVER_EQUAL = Message("check '{check}': '{part}' has {width} bits and is compared with {value}",
                      "a number that it can have")

MASK = (1 << 64) - 1
State = Mapping[str, int]


@dataclass(frozen=True)
class Bits:
    high: int
    low: int


@dataclass(frozen=True)
class Operand:
    """What an expression can name: a word of at most 64 bits."""

    name: str
    width: int
    bits: Mapping[str, Bits]
    reserved: int | None  # bits that no name claims; None: nothing is known

    @property
    def constant(self) -> str:
        return self.name.upper().replace(".", "_")


class Scope(Protocol):
    """The names that an expression may use."""

    def operand(self, name: str) -> Operand | None: ...

    def value(self, layout: str, name: str) -> int | None: ...


@dataclass(frozen=True)
class Text:
    """A piece of the result, in C and in Python; kind is number, bit (either) or condition."""

    kind: str
    c: str
    python: str
    width: int = 64


@dataclass(frozen=True)
class Expression:
    text: str
    c: str
    holds: Callable[[State], bool]
    operands: tuple[Operand, ...]
    names: frozenset[str]  # NAME and NAME.BITS as written


class _Bad(Exception):
    """Already noted."""


# Name: arguments, C, Python. {0} and {1} are the arguments.
FUNCTIONS: dict[str, tuple[int, str, str]] = {
    "aligned": (2, "(({0}) & (({1}) - 1)) == 0", "(({0}) & (({1}) - 1)) == 0"),
    "within": (2, "entry_within({0}, {1})", "({0}) >> ({1}) == 0"),
    "canonical": (2, "entry_canonical({0}, {1})",
                  "({0}) >> (({1}) - 1) in (0, (1 << (65 - ({1}))) - 1)"),
    "pat": (1, "entry_pat({0})",
            "all((({0}) >> i & 0xff) in (0, 1, 4, 5, 6, 7) for i in range(0, 64, 8))"),
    "low32": (1, "(({0}) & 0xffffffff)", "(({0}) & 0xffffffff)"),
    "high32": (1, "(({0}) >> 32)", "(({0}) >> 32)"),
}
_CONDITIONS = ("aligned", "within", "canonical", "pat")

_COMPARE = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_BINARY = {ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
           ast.Add: "+", ast.Sub: "-"}


def parse(text: str, check: str, scope: Scope, row: Map, key: str,
          errors: Errors) -> Expression | None:
    """None when something is wrong with it, which is in `errors` then."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        errors.add(row, SYNTAX, key, check=check, text=text)
        return None
    walk = _Walk(check, scope, row, key, errors)
    try:
        result = walk.condition(tree.body)
    except _Bad:
        return None
    holds: Callable[[State], bool] = eval(f"lambda s: {result.python}")  # our own text
    return Expression(text, result.c, holds, tuple(walk.operands.values()), frozenset(walk.names))


class _Walk:
    def __init__(self, check: str, scope: Scope, row: Map, key: str, errors: Errors) -> None:
        self._check = check
        self._scope = scope
        self._row = row
        self._key = key
        self._errors = errors
        self.operands: dict[str, Operand] = {}
        self.names: set[str] = set()

    def _bad(self, message: Message, **args: object) -> _Bad:
        self._errors.add(self._row, message, self._key, check=self._check, **args)
        return _Bad()

    def condition(self, node: ast.expr) -> Text:
        text = self._any(node)
        if text.kind == "number":
            raise self._bad(NOT_A_CONDITION, part=ast.unparse(node))
        return text

    def number(self, node: ast.expr) -> Text:
        text = self._any(node)
        if text.kind == "condition":
            raise self._bad(NOT_A_NUMBER, part=ast.unparse(node))
        return text

    def _any(self, node: ast.expr) -> Text:
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return _literal(node.value)
        if isinstance(node, (ast.Name, ast.Attribute)):
            return self._named(node)
        if isinstance(node, ast.BoolOp):
            return self._logic(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            inner = self.condition(node.operand)
            return Text("condition", f"!({inner.c})", f"(not ({inner.python}))")
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
            inner = self.number(node.operand)
            return Text("number", f"~({inner.c})", f"(~({inner.python}) & {MASK:#x})")
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return self._binary(node, _BINARY[type(node.op)])
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            return self._compare(node)
        if isinstance(node, ast.IfExp):
            return self._choice(node)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._call(node, node.func.id)
        raise self._bad(NO_SUCH_PART, part=ast.unparse(node))

    def _named(self, node: ast.expr) -> Text:
        path = _path(node)
        if path is None:
            raise self._bad(NO_SUCH_PART, part=ast.unparse(node))
        whole = self._scope.operand(path)
        if whole is not None:
            return self._read(whole, path)
        stem, _, bits = path.rpartition(".")
        value = self._scope.value(stem, bits)
        if value is not None:
            return _literal(value)
        operand = self._scope.operand(stem)
        if operand is None:
            raise self._bad(NO_NAME, name=path)
        at = operand.bits.get(bits)
        if at is None:
            raise self._bad(NO_BITS, operand=stem, bits=bits,
                            known=", ".join(operand.bits) or "none")
        self.names.add(path)
        read = self._read(operand, stem)
        mask = (1 << (at.high - at.low + 1)) - 1
        shift = f" >> {at.low}" if at.low else ""
        width = at.high - at.low + 1
        return Text("bit" if width == 1 else "number", f"({read.c}{shift} & {mask:#x})",
                    f"({read.python}{shift} & {mask:#x})", width)

    def _read(self, operand: Operand, path: str) -> Text:
        self.operands.setdefault(operand.name, operand)
        self.names.add(path)
        return Text("bit" if operand.width == 1 else "number", f"V({operand.constant})",
                    f"s[{operand.name!r}]", operand.width)

    def _logic(self, node: ast.BoolOp) -> Text:
        parts = [self.condition(part) for part in node.values]
        c, python = ("&&", "and") if isinstance(node.op, ast.And) else ("||", "or")
        return Text("condition", "(" + f" {c} ".join(part.c for part in parts) + ")",
                    "(" + f" {python} ".join(part.python for part in parts) + ")")

    def _binary(self, node: ast.BinOp, operator: str) -> Text:
        left, right = self.number(node.left), self.number(node.right)
        c = f"({left.c} {operator} {right.c})"
        python = f"({left.python} {operator} {right.python})"
        width = 64
        if operator == "&":
            width = min(left.width, right.width)
        elif operator in "|^":
            width = max(left.width, right.width)
        elif operator == ">>":
            width = left.width
        else:
            python = f"({python} & {MASK:#x})"
        return Text("number", c, python, width)

    def _compare(self, node: ast.Compare) -> Text:
        left = self.number(node.left)
        operator = node.ops[0]
        if isinstance(operator, ast.In) and isinstance(node.comparators[0], ast.Tuple):
            items = [self._comparable(node.left, left, item)
                     for item in node.comparators[0].elts]
            return Text("condition", "(" + " || ".join(f"{left.c} == {item.c}" for item in items)
                        + ")", f"({left.python} in ({', '.join(i.python for i in items)},))")
        if type(operator) not in _COMPARE:
            raise self._bad(NO_SUCH_PART, part=ast.unparse(node))
        right = self._comparable(node.left, left, node.comparators[0])
        symbol = _COMPARE[type(operator)]
        return Text("condition", f"({left.c} {symbol} {right.c})",
                    f"({left.python} {symbol} {right.python})")

    def _comparable(self, node: ast.expr, left: Text, other: ast.expr) -> Text:
        right = self.number(other)
        if isinstance(other, ast.Constant) and isinstance(other.value, int) and \
                other.value >> left.width:
            raise self._bad(NEVER_EQUAL, part=ast.unparse(node), width=left.width,
                            value=f"{other.value:#x}")
        return right

    def _choice(self, node: ast.IfExp) -> Text:
        test = self.condition(node.test)
        yes, no = self._any(node.body), self._any(node.orelse)
        if "condition" in (yes.kind, no.kind):
            yes, no = self.condition(node.body), self.condition(node.orelse)
        kind = "condition" if "condition" in (yes.kind, no.kind) else "number"
        return Text(kind, f"({test.c} ? {yes.c} : {no.c})",
                    f"({yes.python} if {test.python} else {no.python})",
                    max(yes.width, no.width))

    def _call(self, node: ast.Call, name: str) -> Text:
        if name == "reserved":
            return self._reserved(node)
        if name not in FUNCTIONS:
            raise self._bad(NO_FUNCTION, name=name, known=", ".join([*FUNCTIONS, "reserved"]))
        count, c, python = FUNCTIONS[name]
        if len(node.args) != count:
            raise self._bad(ARGUMENTS, name=name, count=len(node.args), expected=count)
        args = [self.number(arg) for arg in node.args]
        kind = "condition" if name in _CONDITIONS else "number"
        return Text(kind, "(" + c.format(*(arg.c for arg in args)) + ")",
                    "(" + python.format(*(arg.python for arg in args)) + ")",
                    32 if kind == "number" else 1)

    def _reserved(self, node: ast.Call) -> Text:
        """The bits of a word that its layout gives to nobody."""
        if len(node.args) != 1:
            raise self._bad(ARGUMENTS, name="reserved", count=len(node.args), expected=1)
        path = _path(node.args[0])
        operand = self._scope.operand(path) if path else None
        if operand is None or path is None:
            raise self._bad(NO_NAME, name=ast.unparse(node.args[0]))
        if operand.reserved is None:
            raise self._bad(NO_LAYOUT, name=path)
        read = self._read(operand, path)
        mask = _literal(operand.reserved)
        return Text("number", f"({read.c} & {mask.c})", f"({read.python} & {mask.python})",
                    operand.width)


def _literal(value: int) -> Text:
    text = str(value) if value < 10 else f"{value:#x}"
    suffix = "ULL" if value >> 31 else ""
    return Text("bit" if value < 2 else "number", text + suffix, text, max(1, value.bit_length()))


def _path(node: ast.expr) -> str | None:
    """a.b.c of names and attributes."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        stem = _path(node.value)
        return None if stem is None else f"{stem}.{node.attr}"
    return None
