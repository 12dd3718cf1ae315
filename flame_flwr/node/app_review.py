"""What there is to see of an app before it may run: read from its text, never imported.

It shows what the code says, not what it does: whoever approves an app reads the code.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from flame_flwr.node.app_models import ModelCall, model_calls, shown_value
from flame_flwr.node.app_names import AppNames, last_name
from flame_flwr.text.shown_text import printable

if TYPE_CHECKING:
    from collections.abc import Container

    from flame_flwr.node.app_archive import AppArchive

__all__ = ["Excerpt", "Review"]

_ANALYZERS = ("Analyzer", "Client", "NumPyClient", "ClientApp")
_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_REACHES_OUT = {
    *("asyncio", "cffi", "ctypes", "ftplib", "http", "httpx", "importlib", "marshal", "mmap"),
    *("multiprocessing", "os", "paramiko", "pickle", "pty", "requests", "runpy", "shutil"),
    *("signal", "smtplib", "socket", "ssl", "subprocess", "sys", "urllib", "urllib3", "builtins"),
    *("cloudpickle", "dill", "joblib", "aiohttp", "code", "gc", "inspect", "threading", "boto3"),
}
_RUNS_TEXT = {"eval", "exec", "compile", "__import__", "open", "getattr", "setattr", "globals"}
_TEXT_FILES = (".py", ".toml", ".md", ".yaml", ".yml", ".json", ".jsonl", "LICENSE")
_NO_TEXT = "holds no text"
_NO_ASCII = bytes(range(128, 256))


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of an app's code: where it is, and its text."""

    place: str
    text: str


class Review:
    """What an app's text says.

    Parameters
    ----------
    archive : AppArchive
        The app.
    """

    def __init__(self, archive: AppArchive) -> None:
        self.archive = archive

    @cached_property
    def modules(self) -> dict[str, ast.Module]:
        """Its Python files that are Python, by path."""
        found = {}
        for path, content in self.archive.files.items():
            if path.endswith(".py"):
                try:
                    found[path] = ast.parse(content)
                except (SyntaxError, ValueError, RecursionError, MemoryError):
                    continue
        return found

    def runs_at_node(self) -> list[Excerpt]:
        """Return the text of what runs at a node, the analyzers first.

        These are the classes and mods that models and ClientApps are made with, the app's classes
        below them, and what else is in the module that the ClientApp is in.
        """
        wanted = self._runs_by_name()
        shown = self._with_bases(wanted)
        found = [each for each in self._definitions if each[1].name in shown]
        # A method that has a wanted name is shown with its class, and not once more.
        below = {id(inner) for _, node in found for inner in ast.walk(node) if inner is not node}
        found = [each for each in found if id(each[1]) not in below]
        modules = [self._rest_of(path, found) for path in self._clientapp_modules()]
        return [*(self._excerpt(path, node) for path, node in found), *modules]

    def clientapp(self) -> str:
        """Say which object the node runs, and what the text makes it of."""
        named = str(self.archive.components.get("clientapp", ""))
        module, _, name = named.partition(":")
        found = self._names.follow(_path_of(module, self.modules), name)
        if found is None or not isinstance(found[1], ast.expr):
            return f"clientapp = {named}, and it cannot be told what that is: read all of its files"
        place, value = found
        return f"clientapp = {named}, which is {ast.unparse(value)} in {place}, line {value.lineno}"

    def declared(self) -> list[tuple[str, str]]:
        """Return what the model says that is read and sent: key and value, as they are written.

        Names are followed within the app.
        """
        found = []
        for call in self._calls:
            found.append((f"{call.name} in {call.path}, line {call.line}", ""))
            found += [
                (f"  {key}", shown_value(path, value, self._names))
                for key, path, value in call.arguments
            ]
        return found

    def imports(self) -> dict[str, list[str]]:
        """Return what its code imports, by the package, with the files that do."""
        found: dict[str, set[str]] = {}
        for path, tree in self.modules.items():
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    names = [node.module or ""]
                else:
                    continue
                for name in names:
                    found.setdefault(name.split(".")[0], set()).add(path)
        own = {path.split("/")[0].removesuffix(".py") for path in self.archive.files}
        own.add("__future__")
        return {name: sorted(found[name]) for name in sorted(found) if name not in own}

    def node_imports(self) -> dict[str, list[str]]:
        """Return which modules each file imports that the node imports, the ClientApp's first."""
        found: dict[str, list[str]] = {}
        waiting = self._clientapp_modules()[:1]
        while waiting:
            path = waiting.pop(0)
            if path in self.modules and path not in found:
                found[path] = sorted(self._modules_in(path))
                # Before `a.b.c` Python imports `a` and `a.b`, whatever the text says.
                folders = path.split("/")[:-1]
                packages = ["/".join(folders[: end + 1]) for end in range(len(folders))]
                waiting += [f"{package}/__init__.py" for package in packages]
                waiting += [_path_of(name, self.modules) for name in found[path]]
        return found

    def warnings(self) -> list[str]:
        """Return what is to be looked at more closely, each with where it is."""
        found = []
        for path, content in sorted(self.archive.files.items()):
            if path.endswith(".py"):
                if path not in self.modules:
                    found.append(f"{path} is no Python that can be read")
            elif not path.endswith(_TEXT_FILES):
                found.append(f"{path} is a kind of file that Flower does not pack itself")
            if _text_of(path, content) is None:
                found.append(f"{path} {_NO_TEXT}")
            if _seems_other_code(path, content):
                encoding = _encoding_of(path, content)
                found.append(f"{path} says that it is in {encoding}, where a comment can be code")
        for name in {path.split("/")[0].removesuffix(".py") for path in self.archive.files}:
            if name in sys.stdlib_module_names or name in ("flame_flwr", "flwr", "numpy", "pandas"):
                found.append(f"{name} in the app takes the place of the installed {name}")
        for name, places in self.imports().items():
            if name in _REACHES_OUT:
                found.append(f"{', '.join(places)} imports {name}")
        return found + [
            f"{path}, line {node.lineno} calls {node.func.id}"
            for path, tree in self.modules.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in _RUNS_TEXT
        ]

    def text(self, path: str) -> str:
        """Return a file's text as it may be printed; of other content only that it is none."""
        text = _text_of(path, self.archive.files[path])
        return f"({_NO_TEXT})" if text is None else printable(text, lines=True)

    def _modules_in(self, path: str) -> set[str]:
        """Return the modules that a file imports, by their whole names."""
        found = set()
        for node in ast.walk(self.modules[path]):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                folders = path.split("/")[:-1]
                above = folders[: len(folders) - node.level + 1] if node.level else []
                module = ".".join([*above, *([node.module] if node.module else [])])
                inner = {f"{module}.{alias.name}" for alias in node.names}
                found |= {module} | {
                    name for name in inner if _path_of(name, self.modules) in self.modules
                }
        return found

    @cached_property
    def _names(self) -> AppNames:
        return AppNames(self.modules)

    @cached_property
    def _calls(self) -> list[ModelCall]:
        return model_calls(self.modules, self._names)

    def _runs_by_name(self) -> set[str]:
        """Return the names of the classes and functions that models and ClientApps are made with.

        Where one cannot be told, all classes whose bases look like that are among them.
        """
        own = {node.name for _, node in self._definitions}
        given = {self._names.original(*each) for call in self._calls for each in call.runs()}
        if given and given <= own:  # else one is made where no text says it: rather show too much
            return given
        return given & own | {
            node.name
            for _, node in self._definitions
            if isinstance(node, ast.ClassDef)
            and any(last_name(base).endswith(_ANALYZERS) for base in node.bases)
        }

    def _with_bases(self, names: set[str]) -> set[str]:
        """Add the app's own classes that these inherit from."""
        bases = {
            node.name: {self._names.original(path, base) for base in node.bases}
            for path, node in self._definitions
            if isinstance(node, ast.ClassDef)
        }
        found: set[str] = set()
        waiting = set(names)
        while waiting:
            name = waiting.pop()
            found.add(name)
            waiting |= (bases.get(name, set()) & set(bases)) - found
        return found

    @cached_property
    def _definitions(self) -> list[tuple[str, _Definition]]:
        return [
            (path, node)
            for path, tree in self.modules.items()
            for node in ast.walk(tree)
            if isinstance(node, _Definition)
        ]

    def _clientapp_modules(self) -> list[str]:
        """Return the file of the module that the ClientApp is in, and where it comes from there."""
        module, _, name = str(self.archive.components.get("clientapp", "")).partition(":")
        path = _path_of(module, self.archive.files)
        found = self._names.follow(path, name)
        paths = [path, found[0]] if found else [path]
        return [each for each in dict.fromkeys(paths) if each in self.archive.files]

    def _rest_of(self, path: str, shown: list[tuple[str, _Definition]]) -> Excerpt:
        """Return a module's text without what is shown of it before."""
        lines: list[str | None] = [*self.text(path).split("\n")]
        for place, node in shown:
            if place == path:
                first, last = _lines_of(node)
                lines[first - 1 : last] = [None] * (last - first + 1)
                lines[first - 1] = f"# lines {first} to {last} are above"
        text = "\n".join(line for line in lines if line is not None)
        return Excerpt(f"{path}, which the node imports", text)

    def _excerpt(self, path: str, node: _Definition) -> Excerpt:
        first, last = _lines_of(node)
        lines = self.text(path).split("\n")
        return Excerpt(f"{path}, lines {first} to {last}", "\n".join(lines[first - 1 : last]))


def _lines_of(node: _Definition) -> tuple[int, int]:
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return first, node.end_lineno or first


def _path_of(module: str, files: Container[str]) -> str:
    """Return the file of a module of the app's, or of its package."""
    path = module.replace(".", "/")
    return f"{path}.py" if f"{path}.py" in files else f"{path}/__init__.py"


def _text_of(path: str, content: bytes) -> str | None:
    """Return a file's text, of Python as Python reads it; ``None`` where it is none."""
    try:
        text = content.decode(_encoding_of(path, content))
    except (ValueError, LookupError):  # `coding: rot13` is found, and decodes no bytes
        return None
    return None if "\0" in text else text.replace("\r\n", "\n").replace("\r", "\n")


def _seems_other_code(path: str, content: bytes) -> bool:
    """Tell whether Python reads other plain letters in a file than whoever sees its bytes.

    In Latin-1, as an old editor may have written it, it does not: comments end where they seem to.
    """
    try:
        plain = content.decode(_encoding_of(path, content)).encode("ascii", "ignore")
    except (ValueError, LookupError):  # Python cannot read it either
        return False
    return plain != content.translate(None, _NO_ASCII)


def _encoding_of(path: str, content: bytes) -> str:
    """Return the encoding in which Python reads a file.

    Its first lines may name one in which `# +AAo-` is the end of a line: a reviewer who sees the
    bytes as UTF-8 then takes for a comment what runs.
    """
    if not path.endswith(".py"):
        return "utf-8"
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")  # all of them end one to Python
    try:
        return tokenize.detect_encoding(io.BytesIO(lines).readline)[0]
    except SyntaxError:  # of an unknown one; it is no Python, and `warnings` says so
        return "utf-8"
