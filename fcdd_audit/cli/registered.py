"""What a registry holds, without importing what takes seconds to import."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import fcdd_audit

ROOT = Path(fcdd_audit.__file__).parent


def registered(module: str, registry: str) -> dict[str, str]:
    """Names and summaries of the registry that a module of this package holds, in the order of registration.

    From the source files of the module's folder, in the order in which importing it would run them; and from
    the registry itself where the module is imported already, since it may hold a plugin's entries too.
    """
    folder = module if _path(module).name == "__init__.py" else module.rpartition(".")[0]
    seen: set[str] = set()
    others = sorted(f"{folder}.{path.stem}" for path in _path(folder).parent.glob("*.py"))
    found = {
        name: summary
        for start in (folder, *others)
        for tree in _in_order_of_import(start, folder, seen)
        for name, summary in _registrations(tree, registry)
    }
    live = getattr(sys.modules.get(module), registry, None)
    return found if live is None else {**found, **{name: live.summary(name) for name in live}}


def _path(module: str) -> Path:
    path = ROOT.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _in_order_of_import(module: str, package: str, seen: set[str]) -> Iterator[ast.Module]:
    """The syntax trees of a module and of what it imports of its package; what is imported first comes
    first."""
    path = _path(module)
    if module in seen or not path.is_file():
        return
    seen.add(module)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(package):
            for name in (statement.module, *(f"{statement.module}.{one.name}" for one in statement.names)):
                yield from _in_order_of_import(str(name), package, seen)
    yield tree


def _registrations(tree: ast.Module, registry: str) -> Iterator[tuple[str, str]]:
    """Names and summaries of what a module registers: classes and functions with the decorator
    `@REGISTRY.register("name")`, and each `Measure(name="name", label="words", ...)` outside of them."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            for decorator in node.decorator_list:
                match decorator:
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name(id=known), attr="register"),
                        args=[ast.Constant(value=str(name))],
                    ) if known == registry:
                        yield name, (ast.get_docstring(node) or "").partition("\n")[0]
        elif registry == "MEASURES":
            for part in ast.walk(node):
                match part:
                    case ast.Call(func=ast.Name(id="Measure"), keywords=keys):
                        said = {
                            key.arg: key.value.value for key in keys if isinstance(key.value, ast.Constant)
                        }
                        yield str(said["name"]), str(said["label"])
