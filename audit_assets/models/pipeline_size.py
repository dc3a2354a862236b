"""The size that a pipeline draws if it is not told one, and the number that a side must be divisible by.

Both stand in the pipeline's source as expressions over the configurations of its components, such as
`height or self.default_sample_size * self.vae_scale_factor`. They are worked out without loading a weight. An
expression of another form is unknown, and never guessed.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from audit_assets.models.pipeline_source import PipelineSource


class _Unknown(Exception):
    """An expression cannot be worked out from configurations alone."""


class _Part:
    """A component of the pipeline, which has only its configuration. `config.x` and `x` are the same field."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.fields = config


_OPERATORS: Mapping[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt,
    ast.LtE: operator.le,
}  # fmt: skip
_TYPES = {"int": int, "float": float, "list": list, "tuple": tuple, "str": str}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {"len": len, "int": int, "max": max, "min": min, "round": round}


class _Reckoning:
    """Works out the methods of one pipeline, statement by statement, as far as configurations suffice."""

    def __init__(self, source: PipelineSource, own: Mapping[str, Any], parts: Mapping[str, Any]) -> None:
        """``own``: the pipeline's fields of model_index.json; ``parts``: each component's configuration, None if left out."""
        self.source = source
        self.self: dict[str, Any] = {name: None if c is None else _Part(c) for name, c in parts.items()}
        begin = source.methods.get("__init__")
        locals_: dict[str, Any] = {}
        if begin is not None:
            arguments = [*begin.args.args, *begin.args.kwonlyargs]
            defaults = [*begin.args.defaults, *begin.args.kw_defaults]
            for argument, default in zip(reversed(arguments), reversed(defaults), strict=False):
                if isinstance(default, ast.Constant):
                    locals_[argument.arg] = default.value
            locals_ |= {a.arg: own[a.arg] for a in arguments if a.arg in own}
            locals_ |= {name: part for name, part in self.self.items() if name in {a.arg for a in arguments}}
            self.self["config"] = _Part({**locals_, **own})
            self.run(begin.body, locals_)

    def run(self, body: Sequence[ast.stmt], env: dict[str, Any]) -> None:
        """Carry out assignments and conditions. A name whose value is unknown is forgotten."""
        for statement in body:
            if isinstance(statement, ast.Assign):
                try:
                    value = self.value(statement.value, env)
                except _Unknown:
                    value = _Unknown
                for target in statement.targets:
                    self._assign(target, value, env)
            elif isinstance(statement, ast.If):
                try:
                    branch = statement.body if self.value(statement.test, env) else statement.orelse
                except _Unknown:
                    self._forget(statement, env)
                    continue
                self.run(branch, env)

    def _assign(self, target: ast.expr, value: Any, env: dict[str, Any]) -> None:
        if isinstance(target, ast.Name):
            env[target.id] = value
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
            self.self[target.attr] = value
        elif isinstance(target, ast.Tuple):
            known = isinstance(value, tuple) and len(value) == len(target.elts)
            for n, part in enumerate(target.elts):
                self._assign(part, value[n] if known else _Unknown, env)

    def _forget(self, statement: ast.stmt, env: dict[str, Any]) -> None:
        for node in ast.walk(statement):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assign(target, _Unknown, env)

    def value(self, node: ast.expr, env: Mapping[str, Any]) -> Any:
        """Work out an expression; raise _Unknown if it has another form, or needs what no configuration says."""
        try:
            return self._value(node, env)
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise _Unknown from error

    def _value(self, node: ast.expr, env: Mapping[str, Any]) -> Any:
        match node:
            case ast.Constant():
                return node.value
            case ast.Name():
                return _known(env.get(node.id, self.source.constants.get(node.id, _Unknown)))
            case ast.Tuple() | ast.List():
                return tuple(self._value(part, env) for part in node.elts)
            case ast.Attribute(value=ast.Name(id="self")):
                return _known(self.self.get(node.attr, _Unknown))
            case ast.Attribute():
                return _field(self._value(node.value, env), node.attr)
            case ast.Subscript():
                return self._value(node.value, env)[self._value(node.slice, env)]
            case ast.BinOp(op=ast.Pow()):
                base, power = self._value(node.left, env), self._value(node.right, env)
                return base**power if power <= 16 else _known(_Unknown)
            case ast.BinOp():
                return self._operator(node.op)(self._value(node.left, env), self._value(node.right, env))
            case ast.Compare(ops=[one]):
                return self._operator(one)(self._value(node.left, env), self._value(node.comparators[0], env))
            case ast.UnaryOp(op=ast.Not()):
                return not self._value(node.operand, env)
            case ast.IfExp():
                return self._value(node.body if self._value(node.test, env) else node.orelse, env)
            case ast.BoolOp():
                return self._either(node, env)
            case ast.Call(func=ast.Name()):
                return self._called(node, env)
        raise _Unknown

    def _operator(self, of: ast.AST) -> Callable[[Any, Any], Any]:
        if type(of) not in _OPERATORS:
            raise _Unknown
        return _OPERATORS[type(of)]

    def _either(self, node: ast.BoolOp, env: Mapping[str, Any]) -> Any:
        found: Any = None
        for part in node.values:
            found = self._value(part, env)
            if bool(found) is isinstance(node.op, ast.Or):
                break
        return found

    def _called(self, node: ast.Call, env: Mapping[str, Any]) -> Any:
        assert isinstance(node.func, ast.Name)
        name = node.func.id
        if name == "isinstance":
            kinds = [n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)]
            return isinstance(self._value(node.args[0], env), tuple(_TYPES[kind] for kind in kinds))
        if name in ("getattr", "hasattr"):
            field = self._value(node.args[1], env)
            of_self = isinstance(node.args[0], ast.Name) and node.args[0].id == "self"
            holder = self.self if of_self else self._value(node.args[0], env).fields
            if name == "hasattr":
                return field in holder
            return _known(holder[field]) if field in holder else self._value(node.args[2], env)
        return _known(_FUNCTIONS.get(name, _Unknown))(*(self._value(a, env) for a in node.args))


def _known(value: Any) -> Any:
    if value is _Unknown:
        raise _Unknown
    return value


def _field(holder: Any, name: str) -> Any:
    if not isinstance(holder, _Part):
        raise _Unknown
    return holder if name == "config" else _known(holder.fields.get(name, _Unknown))


def own_size(
    source: PipelineSource, own: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any] | None]
) -> tuple[int, int] | None:
    """Return the (width, height) in pixels that a pipeline draws if it is told no size; None if that is unknown.

    ``own``: the pipeline's own fields of model_index.json. ``parts``: the configuration of each component, None if it is
    left out.
    """
    reckoning = _Reckoning(source, own, parts)
    width, height = (_first(reckoning, source, side) for side in ("width", "height"))
    return (width, height) if width and height else None


def _first(reckoning: _Reckoning, source: PipelineSource, side: str) -> int | None:
    """Return the first value of a side that is no longer None, as the call assigns it."""
    given = source.takes.get(side)
    if isinstance(given, int):
        return given
    env: dict[str, Any] = {name: value for name, value in source.takes.items() if value is not ...}
    for statement in source.methods["__call__"].body:
        reckoning.run([statement], env)
        found = env.get(side)
        if found is _Unknown:
            return None
        if found is not None:
            return int(found) if isinstance(found, int | float) and 0 < found < math.inf else None
    return None


def divisor(
    source: PipelineSource, own: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any] | None]
) -> int | None:
    """Return the number that the pipeline's checks want a side to be divisible by; None if they show none."""
    reckoning = _Reckoning(source, own, parts)
    found: list[int] = []
    for name in ("__call__", "check_inputs"):
        method = source.methods.get(name)
        if method is None:
            continue
        env: dict[str, Any] = {}
        reckoning.run(method.body, env)
        for node in ast.walk(method):
            if (
                isinstance(node, ast.BinOp)
                and isinstance(node.op, ast.Mod)
                and isinstance(node.left, ast.Name)
                and node.left.id in ("height", "width")
            ):
                try:
                    value = reckoning.value(node.right, env)
                except _Unknown:
                    continue
                if isinstance(value, int) and 0 < value <= 1024:
                    found.append(value)
    return math.lcm(*found) if found else None
