"""Check, when a model is built, that users' methods can be called the way they will be.

What works is never refused: a method that may be replaced at run time, or whose parameters Python
cannot tell, is accepted.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from functools import lru_cache, partial, partialmethod
from itertools import chain
from types import CodeType, FunctionType
from typing import Any

from flame_flwr.errors import ModelError

__all__ = ["check_constructor", "check_function", "check_methods"]
__all__ += ["is_ours", "is_set_by_constructor", "needs"]

Parameters = tuple[str, ...]


def check_methods(
    cls: type[Any],
    role: str,
    methods: Mapping[str, Parameters],
    caller: str,
    older: Mapping[str, Parameters] | None = None,
) -> None:
    """Check that a class's methods take what they are called with.

    Parameters
    ----------
    cls : type
        The user's class.
    role : str
        What the model calls it, such as ``analyzer``.
    methods : dict of str to tuple of str
        By name: the parameters behind ``self``. A method that the class does not have is no error.
    caller : str
        The method of the framework's class that calls them, if any does. Where a subclass has one
        of its own, it may call them as it likes.
    older : dict of str to tuple of str, optional
        Further parameters of a method, which it is called with if it needs them.

    Raises
    ------
    ModelError
        A method cannot be called so. The message has the call and the method's own parameters.
    """
    if caller and not is_ours(getattr(cls, caller)):
        return
    for name, parameters in methods.items():
        method = inspect.getattr_static(cls, name, None)
        why = _misfit(method, cls, parameters)
        if why and older and name in older and not _misfit(method, cls, parameters + older[name]):
            continue
        if why and not is_set_by_constructor(cls, name):
            call = f"{name}({', '.join(parameters)})"
            raise ModelError(
                f"{role}: {cls.__name__}.{name}{_shown(method)} cannot be called as {call}: {why}. "
                f"Write def {name}({', '.join(('self', *parameters))})"
            )


def check_constructor(cls: type[Any], role: str, kwargs: dict[str, Any]) -> None:
    """Check that a constructor takes ``flame`` and these keyword arguments.

    Raises
    ------
    ModelError
        It does not.
    """
    try:
        signature = inspect.signature(cls, follow_wrapped=False)
    except (TypeError, ValueError):
        if not _takes_nothing(cls.__init__):
            return
        signature = inspect.Signature()
    if not _takes_flame(signature):
        raise ModelError(
            f"{role}: {cls.__name__}{signature} does not take `flame` as its first argument. "
            "Write def __init__(self, flame), and in it super().__init__(flame)"
        )
    try:
        signature.bind(object(), **kwargs)
    except TypeError as error:
        raise ModelError(
            f"{role}: {cls.__name__}{signature} does not fit {role}_kwargs: {error}"
        ) from error


def check_function(function: Any, what: str, parameters: Parameters) -> None:
    """Check that a function takes these arguments.

    Raises
    ------
    ModelError
        It does not.
    """
    try:
        # of a decorated function: its wrapper is called, whatever it says that it wraps
        signature = inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return  # as of a builtin, of which Python cannot tell
    if why := _unbound(signature, len(parameters)):
        name = getattr(function, "__name__", type(function).__name__)
        raise ModelError(
            f"{what}: {name}{signature} cannot be called with ({', '.join(parameters)}): {why}"
        )


def needs(method: Any, count: int) -> bool:
    """Tell whether a bound method can be called with so many arguments, and not with one fewer."""
    function = getattr(method, "__func__", method)
    try:
        return _needs(function, count + (function is not method))
    except (TypeError, ValueError):
        return False


@lru_cache(maxsize=32)  # it is asked in every round
def _needs(function: Any, count: int) -> bool:
    signature = inspect.signature(function)
    return bool(_unbound(signature, count - 1)) and not _unbound(signature, count)


def is_ours(function: Any) -> bool:
    """Tell whether a function, or a class, is the framework's and not a user's."""
    return str(getattr(function, "__module__", "")).startswith("flame_flwr.")


def is_set_by_constructor(cls: type[Any], name: str) -> bool:
    """Tell whether a user's constructor names an attribute, which it may then replace."""
    written = (base.__dict__.get("__init__") for base in cls.__mro__ if not is_ours(base))
    codes = (getattr(constructor, "__code__", None) for constructor in written)
    return any(code and name in _names_in(code) for code in codes)


def _misfit(method: Any, cls: type[Any], parameters: Parameters) -> str:
    """Return why a class's attribute cannot be called with these; ``''`` if it can."""
    if hasattr(method, "__signature__"):  # what a decorator says of it need not be so
        return ""
    binds = isinstance(method, FunctionType | staticmethod | classmethod | partialmethod | partial)
    if binds and hasattr(method, "__get__"):
        with warnings.catch_warnings():
            # A partial becomes a method from Python 3.14 on; 3.13 says so each time.
            warnings.simplefilter("ignore", FutureWarning)
            bound = method.__get__(object(), cls)  # as of an instance, which there is not yet
    elif callable(method) and not hasattr(method, "__get__"):
        bound = method
    else:
        return ""
    try:
        signature = inspect.signature(bound, follow_wrapped=False)
    except (TypeError, ValueError):
        return "it takes no argument, not even self" if _takes_nothing(method) else ""
    why = _unbound(signature, len(parameters))
    if why and isinstance(method, FunctionType):
        written = inspect.signature(method, follow_wrapped=False)
        fits_without = not _unbound(written, len(parameters))
        return "self is missing" if fits_without and "self" not in written.parameters else why
    return why


def _unbound(signature: inspect.Signature, count: int) -> str:
    try:
        signature.bind(*range(count))
    except TypeError as error:
        return str(error)
    return ""


def _takes_nothing(function: Any) -> bool:
    return isinstance(function, FunctionType) and not inspect.signature(function).parameters


def _shown(method: Any) -> str:
    """Return a method's parameters as its author wrote them."""
    written = method.__func__ if isinstance(method, staticmethod | classmethod) else method
    try:
        parameters = inspect.signature(written, follow_wrapped=False).parameters.values()
    except (TypeError, ValueError):
        return ""
    return str(inspect.Signature([one.replace(annotation=one.empty) for one in parameters]))


def _takes_flame(signature: inspect.Signature) -> bool:
    """Tell whether a signature takes at least one positional argument."""
    kinds = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    return any(each.kind in kinds for each in signature.parameters.values())


def _names_in(code: CodeType) -> set[Any]:
    """Return the names and constants of a function; keywords of its calls are tuples of them."""
    together = (each for each in code.co_consts if isinstance(each, tuple))
    return {*code.co_names, *code.co_consts, *chain.from_iterable(together)}
