"""Reads a connection of Flower's ``config.toml``, and asks whether its SuperLink answers.

Flower's own commands do the talking; this looks before them, and after them where they failed.
"""

from __future__ import annotations

import json
import re
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from flame_flwr.errors import ConfigError, FlameError
from flame_flwr.text.suggestions import did_you_mean
from flame_flwr.text.textfiles import read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Connection", "Federation", "SubmitError", "SubmittedRun", "how_to_go_on"]

_FLOWERS_OWN = ("local", "supergrid")
"""Connections that Flower writes into a new ``config.toml``."""

_PAUSE = 0.3
_THIS_MACHINE = ("127.0.0.1", "localhost", "[::1]")


class SubmitError(FlameError, RuntimeError):
    """A run could not be started, or its end could not be learnt."""


@dataclass(frozen=True, slots=True)
class Federation:
    """A SuperLink that a run can be submitted to.

    Parameters
    ----------
    name : str
        The connection's name in Flower's ``config.toml``.
    environment : dict of str to str
        Added to the environment of ``flwr``.
    nodes : int or None
        How many nodes to simulate; ``None`` leaves it to the federation.
    """

    name: str
    environment: Mapping[str, str]
    nodes: int | None = None


@dataclass(frozen=True, slots=True)
class SubmittedRun:
    """A run that has ended.

    Parameters
    ----------
    run_id : str
        Flower's.
    status : str
        Flower's, such as ``finished:completed``.
    details : str
        What Flower says of a failure.
    """

    run_id: str
    status: str
    details: str

    @property
    def succeeded(self) -> bool:
        """Whether the run completed."""
        return self.status == "finished:completed"


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection, as far as it is known.

    Parameters
    ----------
    name : str
        Its name.
    address : str
        ``host:port`` of the SuperLink; empty where Flower starts one itself, or nothing is known.
    certificates : str
        The file with its CA's certificate; empty for those of the system.
    insecure : bool
        Without TLS.
    """

    name: str
    address: str = ""
    certificates: str = ""
    insecure: bool = False

    @classmethod
    def read(cls, name: str, environment: Mapping[str, str], also: object = None) -> Connection:
        """Find a connection by its name.

        Parameters
        ----------
        name : str
            The connection's.
        environment : dict of str to str
            ``FLWR_HOME`` is where Flower's ``config.toml`` is; ``~/.flwr`` otherwise.
        also : dict, optional
            Further names that are not refused: those that Flower moves to ``config.toml`` itself.

        Raises
        ------
        ConfigError
            There is none of that name; the message has the nearest, or all. Or the file cannot be
            read.
        """
        home = environment.get("FLWR_HOME")
        path = (Path(home) if home else Path.home() / ".flwr") / "config.toml"
        known = _connections(path)
        about = known.get(name)
        if isinstance(about, dict):
            # `:local:` and the like stand for a SuperLink that Flower starts itself.
            address = str(about.get("address") or "")
            return cls(
                name,
                "" if address.startswith(":") else address,
                str(about.get("root-certificates") or ""),
                about.get("insecure") is True,
            )
        if name in _FLOWERS_OWN or (isinstance(also, dict) and name in also):
            return cls(name)
        mend = did_you_mean(known, name) or (
            f"it has {', '.join(known) or 'none'}. A connection is a table there, "
            f'[superlink.{_key(name)}], with address = "HOST:PORT" and root-certificates, or '
            "insecure = true"
        )
        raise ConfigError(f"there is no connection {name!r} in {path}; {mend}")

    def wait(self, seconds: float, say: Callable[[str], object]) -> None:
        """Wait until the SuperLink answers; return at once where its address is not known.

        Parameters
        ----------
        seconds : float
            How long at most.
        say : callable
            Gets a line when it does not answer at once, and one when it does then.

        Raises
        ------
        SubmitError
            It does not answer in time, or its certificate is not trusted.
        """
        reason = self.unreachable_because()
        if not reason:
            return
        if seconds > 0:
            say(f"waiting up to {seconds:g} s for the SuperLink {self.address}: {reason}")
        deadline = time.monotonic() + seconds
        while reason and time.monotonic() < deadline:
            time.sleep(min(_PAUSE, max(0.0, deadline - time.monotonic())))
            reason = self.unreachable_because()
        if reason:
            raise SubmitError(
                f"the SuperLink {self.address} ({self.name} in Flower's config.toml) does not "
                f"answer{f', after {seconds:g} s' if seconds > 0 else ''}: {reason}. Is it "
                "started, is this its address, and is the port open? `--wait` sets how long it is "
                "waited for"
            )
        say(f"the SuperLink {self.address} answers")

    def unreachable_because(self) -> str:
        """Return why the SuperLink does not answer; empty where it does, or has no address.

        Raises
        ------
        SubmitError
            It answers, with a certificate that is not trusted, or that cannot be checked.
        """
        if not self.address:
            return ""
        try:
            url = f"{'http' if self.insecure else 'https'}://{self.address}/health"
            # a proxy of the network's would look for this machine's address on its own
            is_here = self.address.rpartition(":")[0] in _THIS_MACHINE
            httpx.get(url, timeout=5.0, verify=self._trusted(), trust_env=not is_here)
        except httpx.InvalidURL as error:
            raise ConfigError(f"{self.address!r} is no address of a SuperLink: {error}") from error
        except httpx.HTTPError as error:
            self._raise_where_waiting_is_useless(error)
            return _reason(error)
        return ""

    def _raise_where_waiting_is_useless(self, error: httpx.HTTPError) -> None:
        """Raise where waiting does not help: something answers, and TLS fails."""
        for cause in _causes(error):
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise SubmitError(
                    f"the SuperLink {self.address} has a certificate that is not trusted here "
                    f"({cause.verify_message}): is `root-certificates` of {self.name} the "
                    "federation's ca.pem, and is this address in the certificate?"
                ) from error
            if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
                raise SubmitError(
                    f"the SuperLink {self.address} answers without TLS: {self.name} in Flower's "
                    "config.toml would have to say insecure = true"
                ) from error

    def _trusted(self) -> ssl.SSLContext | bool:
        if self.insecure:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # of no use, and quickly made
        if not self.certificates:
            return True
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # as Flower's own client does
            context.load_verify_locations(self.certificates)
        except OSError as error:  # an ssl.SSLError is one too
            raise ConfigError(
                f"`root-certificates` of {self.name} in Flower's config.toml names no file with "
                f"certificates: {self.certificates} ({error.strerror or error})"
            ) from error
        return context


def how_to_go_on(config: Mapping[str, Any]) -> str:
    """Say what is left of a run whose SuperLink has ended, and how to go on with it."""
    checkpoint, results = config.get("checkpoint"), config.get("results")
    if checkpoint:
        return (
            f"its checkpoint is {checkpoint}; when the SuperLink is back, submit the same version "
            "of the app with --run-config resume=true, and it goes on after the last round that "
            "was finished"
        )
    return (
        "it must be submitted anew, and what there is of it is in a folder of its own below "
        f"{results or '~/flame-results'} on the server's host. With `checkpoint` in the run "
        "config, `resume` goes on with a run that was lost"
    )


def _key(name: str) -> str:
    """Return a name as a key of TOML, in quotes where it needs them."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)


def _connections(path: Path) -> dict[str, object]:
    if not path.exists():
        return {}
    found = read_settings(path, by_flower=True).get("superlink")
    every = found if isinstance(found, dict) else {}
    return {name: about for name, about in every.items() if isinstance(about, dict)}


def _reason(error: httpx.HTTPError) -> str:
    """Return the system's own reason, where there is one."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer within 5 s"
    said = [cause.strerror for cause in _causes(error) if isinstance(cause, OSError)]
    return next(filter(None, said), None) or str(error) or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
