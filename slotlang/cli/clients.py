"""``slotlang client``: encrypted updates from a service."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slotlang.cli.options import Json
from slotlang.cli.output import emit_json, guarded, write_file
from slotlang.cli.progress import working
from slotlang.cli.usage import WholeSummaries
from slotlang.client.problems import shown
from slotlang.diagnostics import SlotError, error
from slotlang.files import read_regular
from slotlang_runtime.amounts import count_of

if TYPE_CHECKING:
    from slotlang.client import Session

TOKEN = "SLOTLANG_TOKEN"

Url = Annotated[
    str, typer.Argument(metavar="URL", help="The service's address, such as http://127.0.0.1:8400.", show_default=False)
]
ModelName = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="The adapter, of several.", show_default=False)
]
Secret = Annotated[
    Path | None,
    typer.Option(
        "--secret",
        metavar="FILE",
        help="The secret key's file, made if it is not there; without it a key for this command alone.",
        show_default=False,
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help=f"The token, in place of {TOKEN}.", show_default=False),
]
Certificates = Annotated[
    Path | None,
    typer.Option(
        "--cacert", metavar="FILE", help="Certificates to trust, in place of the system's.", show_default=False
    ),
]

client_app = typer.Typer(
    cls=WholeSummaries,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Encrypted updates from a service.",
)


@client_app.callback()
def client_options() -> None:
    """Encrypted updates from a service."""


def _session(
    url: str, token_file: Path | None, certificates: Path | None, model: str | None = None, secret: Path | None = None
) -> Session:
    from slotlang.client import Session

    return Session(url, _token(token_file), model=model, secret=secret, certificates=certificates)


def _token(file: Path | None) -> str:
    if file is None:
        if not (token := os.environ.get(TOKEN, "").strip()):
            raise error("SL570", f"there is no token: neither {TOKEN} nor --token-file names one")
        return token
    try:
        return read_regular(file, 4096).decode("ascii").strip()
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not text"
        raise error("SL001", f"can't read {file}: {reason}", file=str(file)) from None


@client_app.command("models")
def list_models(url: Url, token_file: TokenFile = None, cacert: Certificates = None, json: Json = False) -> None:
    """List the adapters that the token may use."""
    with guarded("client.models", json, reads=[token_file, cacert]), _said(), _session(url, token_file, cacert) as of:
        found = of.models()
        if json:
            names = ("id", "parent", "root", "version")
            emit_json("client.models", {"models": [{name: model.get(name) for name in names} for model in found]})
            return
        if not found:
            print("the token may use no adapter", file=sys.stderr)
        for model in found:
            parent = model.get("parent")
            print(shown(f"{model['id']} {model['version']}{f'  of {parent}' if parent else ''}"))


@client_app.command("modules")
def list_modules(
    url: Url,
    model: ModelName = None,
    token_file: TokenFile = None,
    cacert: Certificates = None,
    json: Json = False,
) -> None:
    """List an adapter's modules: those of one group are evaluated together."""
    with (
        guarded("client.modules", json, reads=[token_file, cacert]),
        _said(),
        _session(url, token_file, cacert, model) as of,
    ):
        adapter = of.adapter()
        if json:
            modules = [
                {
                    "module": update.name,
                    "group": group.number,
                    "rows": update.rows,
                    "columns": update.columns,
                    "rank": update.rank,
                    "scaling": update.scaling,
                    "tokens": group.tokens,
                    "gates": group.gates,
                }
                for group, update in adapter.places.values()
            ]
            emit_json("client.modules", {"model": adapter.name, "version": adapter.version, "modules": modules})
            return
        print(shown(f"{adapter.name} {adapter.version}: {count_of(len(adapter.places), 'module')}, {adapter.ring}"))
        for group, update in adapter.places.values():
            shape = f"{update.rows} x {update.columns}, rank {update.rank}"
            gates = ", ranks by request" if group.gates else ""
            tokens = f"{count_of(group.tokens, 'token')} at a time"
            print(f"{shown(update.name)}  {shape}, group {group.number}, {tokens}{gates}")


@client_app.command("keys")
def make_keys(
    url: Url,
    secret: Annotated[
        Path, typer.Option("--secret", metavar="FILE", help="The secret key's file; made if it is not there.")
    ],
    model: ModelName = None,
    rotate: Annotated[bool, typer.Option("--rotate", help="Make new keys in the place of the present ones.")] = False,
    end: Annotated[bool, typer.Option("--end", help="End the session: the service deletes its keys.")] = False,
    token_file: TokenFile = None,
    cacert: Certificates = None,
    json: Json = False,
) -> None:
    """Make a secret key and a session with evaluation keys, or go on with those that are there."""
    with (
        guarded("client.keys", json, reads=[token_file, cacert], writes=[secret]),
        _said(),
        _session(url, token_file, cacert, model, secret) as of,
    ):
        if rotate and end:
            raise error("SL005", "--rotate and --end do not go together")
        state: dict[str, Any] = {}
        ended = False
        if end:
            ended = of.end()
        else:
            with working("making and sending keys"):
                state = of.rotate() if rotate else of.keys()
        if json:
            names = ("id", "model", "keys", "created", "expires")
            emit_json("client.keys", {"ended": ended, "session": {n: state.get(n) for n in names} if state else None})
        elif end:
            print("the session has ended" if ended else f"{secret} has no session of this adapter at this service")
        else:
            print(f"session {state['id']} of {shown(state['model'])}, until {_date(state['expires'])}")


def _date(seconds: float) -> str:
    import datetime

    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


@client_app.command("update")
def update_file(
    url: Url,
    module: Annotated[
        str, typer.Argument(metavar="MODULE", help="Whose update; a,b,c for several.", show_default=False)
    ],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="x: .npy, .npz or .safetensors; a token per row.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .npy file to write; .npz for several.")],
    ranks: Annotated[
        list[str],
        typer.Option(
            metavar="[MODULE=]LIST",
            help="Ranks that are on, 0,2,5 or 'none', of all modules or of one; repeatable. The service sees them.",
        ),
    ] = [],  # noqa: B006
    model: ModelName = None,
    secret: Secret = None,
    token_file: TokenFile = None,
    cacert: Certificates = None,
    json: Json = False,
) -> None:
    """Encrypt x, have the updates computed, and decrypt them."""
    with guarded("client.update", json, reads=[file, token_file, cacert], writes=[output]), _said(file):
        from slotlang.run.array_files import read_array
        from slotlang.run.results import check_output, result_bytes

        names = [name.strip() for name in module.split(",")]
        check_output(output, names)
        chosen = _ranks(ranks, names)
        stored = read_array(file, "SL505", what="activations")
        x = stored.values("activations")
        with _session(url, token_file, cacert, model, secret) as of:
            try:
                with working("encrypting, waiting for the service and decrypting"):
                    found = of.updates(names, x, ranks=chosen)
                adapter = of.adapter()
            finally:
                if secret is None:
                    # nobody has its key any more
                    of.end()
        write_file(output, result_bytes(output, found))
        if json:
            shapes = {name: list(values.shape) for name, values in found.items()}
            version = {"model": adapter.name, "version": adapter.version}
            emit_json("client.update", {**version, "output": str(output), "updates": shapes})
        else:
            for name, values in found.items():
                print(f"{name}: {' x '.join(map(str, values.shape))}")
            print(f"written to {output}")


def _ranks(given: list[str], names: list[str]) -> dict[str, list[int]]:
    """The ranks that are on, by module. Raises SL005 for what is no list, and for two of one module."""
    found: dict[str, list[int]] = {}
    for text in given:
        module, equals, listed = text.rpartition("=")
        words = [] if listed.strip() == "none" else [word.strip() for word in listed.split(",")]
        if not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words):
            raise error("SL005", f"--ranks {text!r:.120} is not a list of whole numbers such as 0,2,5, nor 'none'")
        for name in [module.strip()] if equals else names:
            if name in found:
                raise error("SL005", f"--ranks names the ranks of {name!r:.120} twice")
            found[name] = [int(word) for word in words]
    return found


@contextmanager
def _said(x: Path | None = None) -> Iterator[None]:
    """Within, what the runtime refuses is said as all else is. Its warnings are said at the end, so that they do not
    mix with a line of progress: one for each update. ``x``: the file that inputs are from."""
    import warnings
    from dataclasses import replace

    from slotlang.refusals import refused
    from slotlang_runtime.errors import BAD_ARRAY, INPUT_BEYOND_LIMIT, BelowPrecision, Rejected

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", BelowPrecision)
        try:
            yield
        except Rejected as problem:
            file = str(x or "") if problem.code in (BAD_ARRAY, INPUT_BEYOND_LIMIT) else ""
            said = refused(problem, doing="")
            raise SlotError(replace(d, file=file) for d in said.diagnostics) from None
        finally:
            by_update: dict[str, list[str]] = {}
            for text in (str(w.message) for w in seen if issubclass(w.category, BelowPrecision)):
                by_update.setdefault(text.partition(": its rms is")[0], []).append(text)
            for text, *others in by_update.values():
                more = f" (the same holds for {count_of(len(others), 'other batch')} of it)" if others else ""
                print("warning" + text.replace("]", "]:", 1) + more, file=sys.stderr)
