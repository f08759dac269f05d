"""Registered functions: pure Python that workflows may call, typed, versioned, from the library, installed packages and the project.

What there is, is read from the source text alone (`catalog`): names, versions and signatures are known without executing anything, which is
what `validate`, `show` and `describe` need (ruling 58). Only `Registry.call` executes, and a file of the project only when the user has
trusted its very bytes. Both take versions from the same reading of the source, so what was checked is what is called.

A version written at the decorator is the author's promise that results stay the same. Without one, it is the digest of the function's
source and of what it uses in its own file: any edit is a new version, and a run that pinned the old one says so instead of guessing.
"""

import ast
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, ParamSpec, TypeVar

from treadle.config.project import Project
from treadle.core.values import Json, Value, ValueProblem, decode, encode, normalise
from treadle.ports import FunctionFailedError
from treadle.trust import TrustStore, function_digest

P = ParamSpec("P")
R = TypeVar("R")
Origin = Literal["project", "package", "library"]
LIBRARY_MODULES: Final = ("treadle.library.functions", "treadle.library.projects", "treadle.library.tables", "treadle.library.times")
ENTRY_POINTS: Final = "treadle.functions"
FILE_BYTES_MAX: Final = 1 << 20
_DECORATOR: Final = "treadle.functions.function"
_JSON_TYPES: Final[dict[type, str]] = {
    str: "text", bool: "true or false", int: "a whole number", float: "a number", list: "a list", dict: "a map", type(None): "null",
}  # fmt: skip


def function(*, version: str = "", pure: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Offer a function to workflows under its own name; only a `pure` one (same arguments, same result, no effect) stands in expressions.

    `version` and `pure` are read from the source and must be written out there as literals.
    """

    def mark(target: Callable[P, R]) -> Callable[P, R]:
        target.__treadle__ = (version, pure)
        return target

    return mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter as its source says. `schema` is what its annotation means for JSON, `True` where it may be anything."""

    name: str
    kind: Literal["positional_only", "plain", "rest", "named_only", "other_names"]
    required: bool
    annotation: str
    schema: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionInfo:
    """A function that workflows may call, as its source says. `place` is a file of the project or a module's name.

    `doc` is the first paragraph of its docstring, `about` all of it.
    """

    name: str
    version: str
    pure: bool
    signature: str
    doc: str
    origin: Origin
    place: str
    line: int
    path: Path
    about: str = ""
    parameters: tuple[Parameter, ...] = ()
    returns: Json = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionProblem:
    """Why a file, or a function in it, is not offered."""

    code: str
    message: str
    place: str
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What a project can call. Earlier origins hide later ones of the same name; the library's workflows see the library's own."""

    functions: tuple[FunctionInfo, ...]
    problems: tuple[FunctionProblem, ...] = ()

    def visible(self, *, library_only: bool = False) -> dict[str, FunctionInfo]:
        """Give the function that each name means."""
        found: dict[str, FunctionInfo] = {}
        for info in self.functions:
            if not library_only or info.origin == "library":
                found.setdefault(info.name, info)
        return found


def catalog(project: Project | None) -> Catalog:
    """Read what there is, from source text alone; nothing is executed or imported."""
    functions: list[FunctionInfo] = []
    problems: list[FunctionProblem] = []
    for origin, place, path in _places(project):
        found, faults = _read(origin, place, path)
        functions += found
        problems += faults
    return Catalog(functions=tuple(_distinct(functions, problems)), problems=tuple(problems))


def _places(project: Project | None) -> Iterator[tuple[Origin, str, Path]]:
    folder = project.root / "functions" if project is not None else None
    if folder is not None and folder.is_dir():
        for path in sorted(folder.glob("*.py")):
            yield "project", path.relative_to(folder.parent).as_posix(), path
    for module in _installed():
        path = module_file(module)
        if path is not None and module not in LIBRARY_MODULES:
            yield "package", module, path
    for module in LIBRARY_MODULES:
        path = module_file(module)
        if path is not None:
            yield "library", module, path


@functools.cache
def _installed() -> tuple[str, ...]:
    """List the modules that installed packages offer; asking costs milliseconds, and packages do not come while a process runs."""
    return tuple(sorted({entry.module for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)}))


def module_file(name: str) -> Path | None:
    """Find a module's file without importing it or its packages; None where it is not a plain file."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or not rest:
        return Path(spec.origin) if spec is not None and spec.origin else None
    for folder in spec.submodule_search_locations or ():
        base = Path(folder).joinpath(*rest)
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def _distinct(functions: Iterable[FunctionInfo], problems: list[FunctionProblem]) -> Iterator[FunctionInfo]:
    seen: dict[tuple[Origin, str], FunctionInfo] = {}
    for info in functions:
        first = seen.setdefault((info.origin, info.name), info)
        if first is info:
            yield info
            continue
        message = f"`{info.name}` is offered twice: first at {first.place}:{first.line}; that one is used"
        problems.append(FunctionProblem(code="duplicate_function", message=message, place=info.place, line=info.line))


# Reading source text


def _read(origin: Origin, place: str, path: Path) -> tuple[list[FunctionInfo], list[FunctionProblem]]:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            return [], [FunctionProblem(code="file_too_large", message=f"it is larger than {FILE_BYTES_MAX:,} bytes", place=place)]
        source = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [], [FunctionProblem(code="unreadable", message=f"it cannot be read: {error}", place=place)]
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        return [], [FunctionProblem(code="python_syntax", message=f"this is not Python: {error}", place=place, line=line)]
    reader = _Source(tree, source, origin, place, path)
    return reader.functions, reader.problems


class _Source:
    """One file of functions, read as text."""

    def __init__(self, tree: ast.Module, source: str, origin: Origin, place: str, path: Path) -> None:
        self.lines = source.splitlines()
        self.origin: Origin = origin
        self.place, self.path = place, path
        self.aliases = dict(_aliases(tree))
        self.top = dict(_top_level(tree))
        self.functions: list[FunctionInfo] = []
        self.problems: list[FunctionProblem] = []
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        decorator = next((d for d in node.decorator_list if self._names_ours(d)), None)
        if decorator is None:
            return
        if isinstance(node, ast.AsyncFunctionDef):
            self._problem("async_function", node, f"`{node.name}` is asynchronous; a function that workflows call is a plain one")
            return
        keywords = {k.arg: k.value for k in decorator.keywords} if isinstance(decorator, ast.Call) else {}
        values = {name: v.value for name, v in keywords.items() if isinstance(v, ast.Constant)}
        version, pure = values.get("version", ""), values.get("pure", False)
        if not isinstance(decorator, ast.Call) or len(values) < len(keywords) or not isinstance(version, str) or not isinstance(pure, bool):
            self._problem("function_decorator", node, f'write `@function(version="1")` with literals above `{node.name}`')
            return
        about = ast.get_docstring(node) or ""
        self.functions.append(
            FunctionInfo(
                name=node.name, version=version or self._digest(node), pure=pure,
                signature=f"{node.name}({ast.unparse(node.args)})" + (f" -> {ast.unparse(node.returns)}" if node.returns else ""),
                doc=about.split("\n\n")[0].replace("\n", " "), about=about, parameters=tuple(_parameters(node.args)),
                returns=schema_of(node.returns), origin=self.origin, place=self.place, line=node.lineno, path=self.path,
            )
        )  # fmt: skip

    def _names_ours(self, decorator: ast.expr) -> bool:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        head, _, rest = ast.unparse(target).partition(".")
        return ".".join(part for part in (self.aliases.get(head, head), rest) if part) == _DECORATOR

    def _digest(self, node: ast.AST) -> str:
        """Digest a function together with every top-level name of its file that it uses, directly or through another."""
        wanted = [node]
        used: dict[str, ast.AST] = {}
        while wanted:
            for name in sorted(_loaded_names(wanted.pop())):
                found = self.top.get(name)
                if found is not None and found is not node and name not in used:
                    used[name] = found
                    wanted.append(found)
        parts = [self._text(node), *(self._text(used[name]) for name in sorted(used))]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def _text(self, node: Any) -> str:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        return "\n".join(line.rstrip() for line in self.lines[first - 1 : node.end_lineno])

    def _problem(self, code: str, node: ast.stmt, message: str) -> None:
        self.problems.append(FunctionProblem(code=code, message=message, place=self.place, line=node.lineno))


def _aliases(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield ((alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0], alias.name.split(".")[0]))
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _top_level(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        yield name.id, node


def _loaded_names(node: ast.AST) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load)}


# Types


def _parameters(arguments: ast.arguments) -> Iterator[Parameter]:
    def made(arg: ast.arg, kind: Any, *, required: bool) -> Parameter:
        annotation = ast.unparse(arg.annotation) if arg.annotation is not None else ""
        return Parameter(name=arg.arg, kind=kind, required=required, annotation=annotation, schema=schema_of(arg.annotation))

    plain = [*arguments.posonlyargs, *arguments.args]
    needed = len(plain) - len(arguments.defaults)
    for index, arg in enumerate(plain):
        yield made(arg, "positional_only" if index < len(arguments.posonlyargs) else "plain", required=index < needed)
    if arguments.vararg is not None:
        yield made(arguments.vararg, "rest", required=False)
    for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield made(arg, "named_only", required=default is None)
    if arguments.kwarg is not None:
        yield made(arguments.kwarg, "other_names", required=False)


def schema_of(annotation: ast.expr | None) -> Json:
    """Say what an annotation means for JSON, as far as its text tells; what it does not tell may be anything."""
    match annotation:
        case ast.Constant(value=None):
            return {"type": "null"}
        case ast.Constant(value=str() as text):
            try:
                return schema_of(ast.parse(text, mode="eval").body)
            except SyntaxError:
                return True
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return {"anyOf": [schema_of(left), schema_of(right)]}
        case ast.Subscript(value=value, slice=inner):
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return _subscripted(_last_name(value), parts)
        case ast.Name() | ast.Attribute():
            return _PLAIN_SCHEMAS.get(_last_name(annotation), True)
        case _:
            return True


_PLAIN_SCHEMAS: Final[dict[str, Json]] = {
    "str": {"type": "string"}, "int": {"type": "integer"}, "float": {"type": "number"}, "bool": {"type": "boolean"},
    "list": {"type": "array"}, "dict": {"type": "object"}, "None": {"type": "null"},
}  # fmt: skip


def _subscripted(name: str, parts: list[ast.expr]) -> Json:
    if name in {"list", "List"}:
        return {"type": "array", "items": schema_of(parts[0])}
    if name in {"dict", "Dict"} and len(parts) == 2:
        return {"type": "object", "additionalProperties": schema_of(parts[1])}
    if name == "Optional":
        return {"anyOf": [schema_of(parts[0]), {"type": "null"}]}
    if name == "Union":
        return {"anyOf": [schema_of(part) for part in parts]}
    if name == "Literal":
        values = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str | int | bool | None)]
        return {"enum": [*values]} if len(values) == len(parts) else True
    return True


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


# Calling


class Registry:
    """Calls registered functions; implements `ports.Functions`. A file is executed at the first call of something in it, once."""

    def __init__(self, found: Catalog, project: Project | None = None, trust: TrustStore | None = None) -> None:
        """Call what `found` lists; functions of `project` only where `trust` allows the file's bytes."""
        self._by_version = {(info.name, info.version): info for info in reversed(found.functions)}
        self._names: dict[str, list[FunctionInfo]] = {}
        for info in found.functions:
            self._names.setdefault(info.name, []).append(info)
        self._project, self._trust = project, trust
        self._loaded: dict[Path, Mapping[str, Any]] = {}

    def call(self, name: str, version: str, args: Sequence[Value], kwargs: dict[str, Value]) -> Value:
        """Call it. Raises FunctionFailedError with a message for the author when it raises or is not there in that version."""
        info = self._by_version.get((name, version))
        if info is None:
            raise FunctionFailedError(self._missing(name, version))
        target = self._load(info).get(name)
        if not callable(target):
            raise FunctionFailedError(f"`{name}` is no longer in {info.place}")
        bound = _bound(target, info, [_own(a, info) for a in args], {k: _own(v, info) for k, v in kwargs.items()})
        try:
            result = target(*bound.args, **bound.kwargs)
        except Exception as error:  # an author's code may raise anything: it becomes a failure of the step
            raise FunctionFailedError(f"`{name}` raised {type(error).__name__}: {error}{_where(error, info)}") from error
        try:
            return normalise(result)
        except ValueProblem as problem:
            raise FunctionFailedError(
                f"`{name}` returned what is not JSON{problem.path and ' at ' + problem.path}: {problem.message}"
            ) from problem

    def _missing(self, name: str, version: str) -> str:
        others = self._names.get(name)
        if not others:
            return f"there is no registered function `{name}`; `treadle functions` lists what there is"
        there = ", ".join(f"{info.version} ({info.place})" for info in others)
        return (
            f"`{name}` is not here in version {version}, which this run pinned; here is: {there}. Restore that version, or start a new run"
        )

    def _load(self, info: FunctionInfo) -> Mapping[str, Any]:
        if info.path not in self._loaded:
            self._loaded[info.path] = self._execute(info) if info.origin == "project" else vars(self._import(info))
        return self._loaded[info.path]

    def _import(self, info: FunctionInfo) -> types.ModuleType:
        try:
            return importlib.import_module(info.place)
        except Exception as error:  # an author's module may raise anything while it is imported
            raise FunctionFailedError(f"{info.place} could not be imported: {type(error).__name__}: {error}") from error

    def _execute(self, info: FunctionInfo) -> Mapping[str, Any]:
        try:
            source = info.path.read_bytes()
        except OSError as error:
            raise FunctionFailedError(f"{info.place} cannot be read: {error.strerror or error}") from error
        digest = function_digest(info.place, source)
        if self._project is None or self._trust is None or not self._trust.allows_digest(self._project, "functions", info.place, digest):
            raise FunctionFailedError(f"{info.place} is not trusted, or has changed since; look at it and allow it with `treadle trust`")
        current, _ = _read("project", info.place, info.path)
        if not any((found.name, found.version) == (info.name, info.version) for found in current):
            raise FunctionFailedError(
                f"{info.place} has changed since it was read: `{info.name}` is no longer there in version {info.version}"
            )
        module = types.ModuleType(f"treadle_functions_{info.path.stem}")
        module.__file__ = str(info.path)
        try:
            # The bytes that were trusted are what runs: importing the file would read it a second time.
            exec(compile(source, str(info.path), "exec"), vars(module))  # noqa: S102
        except Exception as error:  # an author's file may raise anything while it is executed
            raise FunctionFailedError(f"{info.place} could not be loaded: {type(error).__name__}: {error}") from error
        return vars(module)


def _own(value: Value, info: FunctionInfo) -> Value:
    """Give a copy that the function may change as it likes."""
    try:
        return decode(encode(normalise(value)))
    except ValueProblem as problem:
        raise FunctionFailedError(f"an argument of `{info.name}` is no plain JSON value: {problem.message}") from problem


def _bound(target: Callable[..., Any], info: FunctionInfo, args: list[Value], kwargs: dict[str, Value]) -> inspect.BoundArguments:
    try:
        bound = inspect.signature(target).bind(*args, **kwargs)
    except TypeError as error:
        raise FunctionFailedError(f"`{info.signature}` cannot be called so: {error}") from error
    try:
        hints = typing.get_type_hints(target)
    except Exception as error:  # annotations are an author's code too
        raise FunctionFailedError(f"the annotations of `{info.name}` cannot be read: {error}") from error
    for name, value in bound.arguments.items():
        if name in hints and not _fits(value, hints[name]):
            message = (
                f"`{name}` of `{info.name}` must be {_described(hints[name])}, not {_JSON_TYPES.get(type(value), type(value).__name__)}"
            )
            raise FunctionFailedError(message)
    return bound


def _fits(value: object, hint: object) -> bool:
    """Compare a JSON value with an annotation as far as JSON goes; annotations of other kinds take anything."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return any(_fits(value, arm) for arm in inner)
    if origin is Literal:
        return value in inner
    if hint is None or hint is type(None):
        return value is None
    kind = origin or hint
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is list:
        return isinstance(value, list) and (not inner or all(_fits(item, inner[0]) for item in value))
    if kind is dict:
        return isinstance(value, dict) and (len(inner) < 2 or all(_fits(item, inner[1]) for item in value.values()))
    return not isinstance(kind, type) or kind not in _JSON_TYPES or isinstance(value, kind)


def _described(hint: object) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(_described(arm) for arm in inner)
    if origin is list and inner:
        return f"a list, each item {_described(inner[0])}"
    kind = origin or hint
    return _JSON_TYPES.get(kind, str(hint)) if isinstance(kind, type) else str(hint)


def _where(error: BaseException, info: FunctionInfo) -> str:
    traceback = error.__traceback__
    line = 0
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(info.path):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return f" ({info.place}:{line})" if line else ""
