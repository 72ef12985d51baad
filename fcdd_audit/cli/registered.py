"""What a registry holds, without importing what takes seconds to import."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import fcdd_audit

ROOT = Path(fcdd_audit.__file__).parent


def registered(package: str, registry: str) -> dict[str, str]:
    """Names and summaries of a package's registry, in the order of registration.

    From the registry itself where the package is imported already: it may hold a plugin's entries. Else from
    the package's source files, in the order in which importing it would run them.
    """
    if package in sys.modules:
        live = getattr(sys.modules[package], registry)
        return {name: live.summary(name) for name in live}
    seen: set[str] = set()
    return {
        name: summary
        for tree in _in_order_of_import(package, package, seen)
        for name, summary in _registrations(tree, registry)
    }


def _in_order_of_import(module: str, package: str, seen: set[str]) -> Iterator[ast.Module]:
    """The syntax trees of a module and of what it imports of its package; what is imported first comes
    first."""
    path = ROOT.joinpath(*module.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
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
    """Names and summaries of the classes and functions with the decorator `@REGISTRY.register("name")`."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            for decorator in node.decorator_list:
                match decorator:
                    case ast.Call(
                        func=ast.Attribute(value=ast.Name(id=known), attr="register"),
                        args=[ast.Constant(value=str(name))],
                    ) if known == registry:
                        yield name, (ast.get_docstring(node) or "").partition("\n")[0]
