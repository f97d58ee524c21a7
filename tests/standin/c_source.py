"""Runs the CUDA C of element-wise kernels: translates each statement to NumPy, for all elements at once.

It knows declarations and assignments of expressions, which are made of names, numbers, `a[k]`, calls of a few functions
and the operators below, with C's precedence, conversions and integer division. Everything else it refuses with a
SourceError: there are no loops, no branches but `? :`, no pointers, no bits.

A value is a NumPy array whose dtype is its type in C.
"""

import re
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

TYPES = {"bool": np.bool_, "int": np.int32, "ptrdiff_t": np.int64, "float": np.float32, "double": np.float64}
TYPES = {name: np.dtype(t) for name, t in TYPES.items()}
# Arithmetic is done in the type that comes last here of its operands' types; a bool counts as an int.
RANKS = [TYPES[name] for name in ("int", "ptrdiff_t", "float", "double")]
FUNCTIONS = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "tanh": np.tanh}
# Binary operators, from those that bind least to those that bind most.
LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/", "%"))
COMPARISONS = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
ASSIGNMENTS = ("=", "+=", "-=", "*=", "/=")
TOKEN = re.compile(
    r"(?P<space>\s+|//[^\n\\]*)"
    r"|(?P<number>(\d+\.\d*|\.\d+|[1-9]\d*|0)([eE][+-]?\d+)?f?)(?![\w.])"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<wrong>\+\+|--|<<|>>|->|::|%=|/\*)"
    r"|(?P<sign>\|\||&&|[-+*/=!<>]=|[-+*/%<>=!?:;()\[\],])"
    r"|(?P<other>.)"
)

Value = np.ndarray
Expression = Callable[[Any], Value]  # takes the names' values, an object with the methods of `elementwise.Names`
Statement = Callable[[Any], None]


class SourceError(SyntaxError):
    """The source is wrong in C, or says more than the stand-in can run."""


def parse(source: str, types: Collection[str]) -> list[Statement]:
    """The statements of a kernel's body. `types`: names of types that it may use besides those of C."""
    parser = _Parser(_tokens(source), {*types, *TYPES})
    statements = []
    while parser.kind != "end":
        statements.append(parser.statement())
    return statements


def _tokens(source: str) -> list[tuple[str, str]]:
    """(kind, text) of each token, and an end."""
    found = []
    for match in TOKEN.finditer(source):
        kind = str(match.lastgroup)
        if kind in ("wrong", "other"):
            raise SourceError(f"unknown sign {match[0]!r} in {source[match.start() :].splitlines()[0]!r}")
        if kind != "space":
            found.append((kind, match[0]))
    return [*found, ("end", "")]


class _Parser:
    """Descends recursively; each method takes one thing off the tokens and returns what runs it."""

    def __init__(self, tokens: list[tuple[str, str]], types: Collection[str]):
        self.tokens, self.types, self.at = tokens, types, 0

    @property
    def kind(self) -> str:
        return self.tokens[self.at][0]

    def take(self, *texts: str) -> str | None:
        """The next token's text if it is one of these, and on to the next; else None."""
        text = self.tokens[self.at][1]
        if self.kind != "sign" or text not in texts:
            return None
        self.at += 1
        return text

    def expect(self, *texts: str) -> str:
        text = self.take(*texts)
        if text is None:
            raise SourceError(f"expected {' or '.join(texts)} {self.place()}")
        return text

    def name(self) -> str:
        if self.kind != "name":
            raise SourceError(f"expected a name {self.place()}")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def place(self) -> str:
        text = " ".join(text for _, text in self.tokens[self.at : self.at + 6])
        return f"before {text!r}" if text else "at the end"

    def statement(self) -> Statement:
        """`type name = expression;` or `name = expression;` or `name[expression] = expression;`."""
        name = self.name()
        constant = name == "const"
        if constant:
            name = self.name()
        if constant or self.kind == "name":
            type_name, name = name, self.name()
            if type_name not in self.types:
                raise SourceError(f"unknown type {type_name!r}")
            self.expect("=")
            value = self.expression()
            self.expect(";")
            return lambda names: names.declare(name, convert(value(names), names.types[type_name]), constant)
        index = self.index() if self.take("[") else None
        sign = self.expect(*ASSIGNMENTS)
        value = self.expression()
        self.expect(";")
        if sign != "=":
            value = _binary(sign[0], _operand(name, index), value)
        if index is None:
            return lambda names: names.assign(name, value(names))
        return lambda names: names.store(name, index(names), value(names))

    def index(self) -> Expression:
        index = self.expression()
        self.expect("]")
        return index

    def expression(self) -> Expression:
        condition = self.binary(0)
        if not self.take("?"):
            return condition
        yes = self.expression()
        self.expect(":")
        no = self.expression()
        return lambda names: _choose(condition(names), yes(names), no(names))

    def binary(self, level: int) -> Expression:
        if level == len(LEVELS):
            return self.unary()
        left = self.binary(level + 1)
        while sign := self.take(*LEVELS[level]):
            left = _binary(sign, left, self.binary(level + 1))
        return left

    def unary(self) -> Expression:
        sign = self.take("-", "+", "!")
        if not sign:
            return self.primary()
        value = self.unary()
        if sign == "!":
            return lambda names: np.logical_not(value(names))
        change = np.negative if sign == "-" else np.positive
        return lambda names: change(*_common(value(names)))

    def primary(self) -> Expression:
        if self.take("("):
            inner = self.expression()
            self.expect(")")
            return inner
        if self.kind == "number":
            self.at += 1
            number = _number(self.tokens[self.at - 1][1])
            return lambda names: number
        name = self.name()
        if name in self.types:
            raise SourceError(f"{name} is a type, and the stand-in knows no casts, {self.place()}")
        if not self.take("("):
            return _operand(name, self.index() if self.take("[") else None)
        argument = self.expression()
        self.expect(")")
        return _call(name, argument)


def _operand(name: str, index: Expression | None) -> Expression:
    if index is None:
        return lambda names: names.read(name)
    return lambda names: names.load(name, index(names))


def _number(text: str) -> Value:
    if text.endswith("f"):
        if text[:-1].isdigit():
            raise SourceError(f"{text} is no number: write {text[:-1]}.0f")
        return np.float32(text[:-1])[...]
    if not text.isdigit():
        return np.float64(text)[...]
    number = int(text)
    return np.asarray(number, np.int32 if number < 2**31 else np.int64)


def _call(name: str, argument: Expression) -> Expression:
    single = name.endswith("f") and name[:-1] in FUNCTIONS
    function = FUNCTIONS.get(name[:-1] if single else name)
    if function is None:
        raise SourceError(f"unknown function {name!r}; the stand-in knows {', '.join(FUNCTIONS)}")

    def call(names: Any) -> Value:
        value = argument(names)
        if single:
            value = convert(value, TYPES["float"])
        elif value.dtype.kind != "f":
            value = convert(value, TYPES["double"])
        return function(value)

    return call


def _binary(sign: str, left: Expression, right: Expression) -> Expression:
    return lambda names: _compute(sign, left(names), right(names))


def _compute(sign: str, a: Value, b: Value) -> Value:
    if sign == "&&":
        return np.logical_and(a, b)
    if sign == "||":
        return np.logical_or(a, b)
    a, b = _common(a, b)
    if sign in COMPARISONS:
        return COMPARISONS[sign](a, b)
    if sign in ("/", "%") and a.dtype.kind == "i":
        if not np.all(b):
            raise ZeroDivisionError("an integer is divided by zero")
        rest = np.fmod(a, b)  # C rounds towards zero
        return rest if sign == "%" else (a - rest) // b
    if sign == "%":
        raise SourceError("C has no % for floating-point numbers")
    return {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.true_divide}[sign](a, b)


def _choose(condition: Value, yes: Value, no: Value) -> Value:
    if yes.dtype != no.dtype:
        yes, no = _common(yes, no)
    return np.where(condition.astype(bool), yes, no)


def _common(*values: Value) -> tuple[Value, ...]:
    """The values in the type in which C does arithmetic with them."""
    rank = max(RANKS.index(v.dtype) if v.dtype in RANKS else 0 for v in values)
    return tuple(convert(v, RANKS[rank]) for v in values)


def convert(value: Value, dtype: np.dtype) -> Value:
    return np.asarray(value).astype(dtype, copy=False)
