"""Imports that wait until they are needed."""

import gc
import importlib
import sys

import pytest

from fcdd_audit.core.late import Late, importing


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The name of a module that nobody has imported yet."""
    (tmp_path / "belated.py").write_text("def add(one, other=1):\n    return one + other\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "belated"
    sys.modules.pop("belated", None)


def test_the_module_is_imported_by_the_first_call(module):
    add = Late(f"{module}:add")
    assert module not in sys.modules
    assert add(1) == 2
    assert module in sys.modules
    assert add(1, other=5) == 6


def test_it_is_looked_up_anew_so_that_a_replaced_function_is_called(module, monkeypatch):
    add = Late(f"{module}:add")
    add(1)
    monkeypatch.setattr(sys.modules[module], "add", lambda one: -one)
    assert add(3) == -3


def test_garbage_is_looked_for_again_after_an_import_whatever_becomes_of_it():
    with pytest.raises(ModuleNotFoundError), importing():
        importlib.import_module("nowhere.at.all")
    assert gc.isenabled()
    with importing():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_says_what_it_stands_for():
    assert repr(Late("package.module:function")) == "Late('package.module:function')"


def test_what_is_not_there_is_an_error_of_the_call(module):
    for path, error in (("nowhere.at.all:add", ModuleNotFoundError), (f"{module}:subtract", AttributeError)):
        late = Late(path)
        with pytest.raises(error):
            late(1)
