"""Rules written in Python: modules and files that a rule set names."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from hanspan.rules.contract import FunctionRule, RuleError
from hanspan.rules.source import resolve


def load_functions(modules: Iterable[tuple[str, Path]]) -> Iterator[FunctionRule]:
    """Every decorated function of the modules, in the order in which they stand.

    Args:
        modules: (dotted name or path of a ``.py`` file, folder that the path is relative to).

    Raises:
        RuleError: for a module that cannot be imported.
    """
    seen: set[int] = set()
    for name, base in modules:
        module = _file(name, base) if name.endswith(".py") or "/" in name else _module(name)
        for value in vars(module).values():
            if isinstance(value, FunctionRule) and id(value) not in seen:
                seen.add(id(value))
                yield value


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as err:
        raise RuleError(
            f"python: {name}: {type(err).__name__}: {err}; expected a module that can be "
            f"imported, or a path such as ./my_rules.py"
        ) from err


def _file(name: str, base: Path) -> ModuleType:
    path = resolve(name, base)
    if not path.is_file():
        raise RuleError(f"{path}: no such file; expected Python rules (python: {name})")
    unique = f"hanspan_rules_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise RuleError(f"{path}: not a Python file; expected a name that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    try:
        spec.loader.exec_module(module)
    except Exception as err:
        sys.modules.pop(unique, None)
        line = getattr(err, "lineno", None) or _line(err, str(path))
        raise RuleError(f"{path}: line {line}: {type(err).__name__}: {err}") from err
    return module


def _line(err: BaseException, file: str) -> int:
    line, trace = 0, err.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
