"""Changes of the source of functions, one place at a time, put into the running code and taken out again."""

import ast
import copy
import functools
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType


@dataclass(frozen=True)
class Place:
    """One change of one function's source.

    Attributes:
        number: Which of the possible changes of that function.
        what: The change in words, with its line.
    """

    module: str
    function: str
    number: int
    what: str

    @property
    def name(self) -> str:
        """`memory._dimm_errors: line 120: < for <=`."""
        return f"{self.module.removeprefix('aiops.')}.{self.function}: {self.what}"


_FLIPS: Mapping[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.GtE, ast.LtE),
    ast.LtE: (ast.Gt, ast.Lt),
    ast.Gt: (ast.LtE, ast.GtE),
    ast.GtE: (ast.Lt, ast.Gt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_SUMS: Mapping[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}


Ways = Iterator[tuple[str, ast.AST]]


def _changes(node: ast.AST) -> Ways:
    """The ways in which one node may be changed, each as words and what stands in its place."""
    match node:
        case ast.Compare(ops=[op]):
            for other in _FLIPS.get(type(op), ()):
                yield f"{other.__name__} for {type(op).__name__}", _with(node, ops=[other()])
        case ast.BoolOp(op=op):
            swapped = ast.Or if isinstance(op, ast.And) else ast.And
            yield f"{swapped.__name__} for {type(op).__name__}", _with(node, op=swapped())
        case ast.UnaryOp(op=ast.Not()):
            yield "no `not`", node.operand
        case ast.BinOp(op=op) if type(op) in _SUMS:
            yield f"{_SUMS[type(op)].__name__} for {type(op).__name__}", _with(node, op=_SUMS[type(op)]())
        case ast.IfExp():
            yield "always the first", node.body
            yield "always the second", node.orelse
        case ast.Constant(value=int() as value) if not isinstance(value, bool):
            yield f"{value + 1} for {value}", _with(node, value=value + 1)
        case ast.stmt():
            yield from _of_statements(node)


def _of_statements(node: ast.stmt) -> Ways:
    match node:
        case ast.If():
            yield "if True", _with(node, test=ast.Constant(value=True))
            yield "if False", _with(node, test=ast.Constant(value=False))
        case ast.Expr(value=ast.Yield() | ast.YieldFrom()):
            yield "not yielded", ast.If(test=ast.Constant(value=False), body=[node], orelse=[])
        case ast.Continue():
            yield "no `continue`", ast.Pass()
        case ast.Return(value=value) if value is not None and not isinstance(value, ast.Constant):
            yield "returns None", ast.Return(value=ast.Constant(value=None))


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


class _Changer(ast.NodeTransformer):
    """Makes the change of one number; with None it makes none, and all are listed in `found`."""

    def __init__(self, number: int | None) -> None:
        self.number = number
        self.found: list[str] = []

    def visit(self, node: ast.AST) -> ast.AST:
        """Count the ways of changing a node, and make the one that was asked for."""
        made: ast.AST | None = None
        for words, changed in _changes(node):
            if len(self.found) == self.number:
                made = ast.copy_location(changed, node)
            self.found.append(f"line {getattr(node, 'lineno', 0)}: {words}")
        return made if made is not None else self.generic_visit(node)

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        """Defaults are values of the function and no part of its code."""
        return node


@functools.cache
def functions(module: str) -> dict[str, ast.FunctionDef]:
    """The functions and methods of a module by qualified name."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{one.name}": one for one in node.body if isinstance(one, ast.FunctionDef)}
    return found


def function_of(module: ModuleType, name: str) -> FunctionType | None:
    """The function object; None for one that is hidden behind something unknown."""
    thing: object = module
    for word in name.split("."):
        thing = inspect.getattr_static(thing, word, None)
    if isinstance(thing, property):
        thing = thing.fget
    thing = inspect.unwrap(thing) if callable(thing) else thing
    return thing if isinstance(thing, FunctionType) else None


def places_of(module: str) -> Iterator[Place]:
    """All changes of the functions of a module that is loaded."""
    for name, node in functions(module).items():
        if function_of(sys.modules[module], name) is not None:
            changer = _Changer(None)
            changer.visit(copy.deepcopy(node))
            yield from (Place(module, name, number, what) for number, what in enumerate(changer.found))


def _mutated(place: Place, original: CodeType) -> CodeType | None:
    """The changed code; None where it is the same, or no code for this function."""
    node = copy.deepcopy(functions(place.module)[place.function])
    changed = _Changer(place.number).visit(node)
    assert isinstance(changed, ast.FunctionDef)
    changed.decorator_list = []
    tree = ast.fix_missing_locations(ast.Module(body=[changed], type_ignores=[]))
    compiled = compile(tree, original.co_filename, "exec", dont_inherit=True)
    code = next(one for one in compiled.co_consts if isinstance(one, CodeType) and one.co_name == changed.name)
    return code if code.co_freevars == original.co_freevars else None


@contextmanager
def in_place(place: Place) -> Iterator[bool]:
    """The function with the change; whether there is one."""
    function = function_of(sys.modules[place.module], place.function)
    assert function is not None
    original = function.__code__
    code = _mutated(place, original)
    if code is not None:
        function.__code__ = code
    try:
        yield code is not None
    finally:
        function.__code__ = original
