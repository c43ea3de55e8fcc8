"""One place that imports optional dependencies, with one message."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from modcollapse.errors import MissingExtraError


def require(module: str, *, extra: str, needed_by: str) -> ModuleType:
    """Import ``module``, or say which extra installs it.

    Args:
        module: name of the top-level module.
        extra: extra of modcollapse that installs it.
        needed_by: what the user called.

    Raises:
        MissingExtraError: the module is not installed. A module that is installed but fails to
            import raises its own error.

    >>> require("no_such_module", extra="plot", needed_by="plot_audit")
    Traceback (most recent call last):
    ...
    modcollapse.errors.MissingExtraError: plot_audit needs no_such_module: \
pip install "modcollapse[plot]"
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        message = f'{needed_by} needs {module}: pip install "modcollapse[{extra}]"'
        raise MissingExtraError(message, name=module) from error
