"""``slotlang serve`` and ``slotlang token``: a service of built adapters, and who may use it."""

from __future__ import annotations

import math
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slotlang.cli.faults import INTERRUPTED
from slotlang.cli.options import Json
from slotlang.cli.output import OK, emit_json, guarded
from slotlang.cli.usage import WholeSummaries
from slotlang.diagnostics import error
from slotlang.files import reason_of
from slotlang_runtime.amounts import count_of

if TYPE_CHECKING:
    from slotlang.service.service import Service
    from slotlang.service.tokens import Tenant, Tokens

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", help="What `adapter build -o` wrote: a folder for each adapter.", show_default=False
    ),
]
State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="Sessions, keys, tokens and answers; FOLDER/.state if left out.",
        show_default=False,
    ),
]

_SIZE = re.compile(r"([0-9]{1,12})([kMGT]?)B?")
_UNITS = {"": 0, "k": 10, "M": 20, "G": 30, "T": 40}


def _size(option: str, text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise error("SL005", f"{option} {text!r:.40} is not a size", hint="for example 512M or 4G")
    return int(match[1]) << _UNITS[match[2]]


def serve(
    folder: Folder,
    host: Annotated[str, typer.Option(help="The address to listen to.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8400,
    ssl_certfile: Annotated[
        Path | None, typer.Option("--ssl-certfile", help="A certificate, for TLS.", show_default=False)
    ] = None,
    ssl_keyfile: Annotated[
        Path | None, typer.Option("--ssl-keyfile", help="The certificate's key.", show_default=False)
    ] = None,
    state: State = None,
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Evaluations at a time; the number of cores if left out.", show_default=False),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Evaluate on Dask's workers: tcp://127.0.0.1:8786.", show_default=False),
    ] = None,
    scheduler_ca: Annotated[
        Path | None, typer.Option("--scheduler-ca", help="For tls://: who vouches for the others.", show_default=False)
    ] = None,
    scheduler_cert: Annotated[
        Path | None, typer.Option("--scheduler-cert", help="For tls://: the service's certificate.", show_default=False)
    ] = None,
    scheduler_key: Annotated[
        Path | None, typer.Option("--scheduler-key", help="For tls://: the certificate's key.", show_default=False)
    ] = None,
    max_body: Annotated[str, typer.Option(metavar="SIZE", help="Most bytes of one request.")] = "64M",
    max_keys: Annotated[str, typer.Option(metavar="SIZE", help="Most bytes of one key set.")] = "256M",
    max_tokens: Annotated[int, typer.Option(min=1, help="Most tokens of one request.")] = 4096,
    rate: Annotated[float, typer.Option(min=0.001, help="Requests a second, of a tenant on average.")] = 50.0,
    token_rate: Annotated[float, typer.Option(min=1, help="Tokens a minute, of a tenant on average.")] = 100_000.0,
    queue: Annotated[int, typer.Option(min=1, help="Evaluations that may wait; a tenant has half.")] = 1024,
    wait: Annotated[float, typer.Option(min=0.1, help="Seconds that an evaluation may wait.")] = 120.0,
    idle: Annotated[float, typer.Option(min=0.1, help="Seconds that a client may send or take nothing.")] = 20.0,
    lifetime: Annotated[float, typer.Option(min=1, help="Seconds that a session lasts, at most.")] = 7 * 86400.0,
    window: Annotated[float, typer.Option(min=1, help="Seconds in which an answer is given again.")] = 600.0,
    answers: Annotated[
        str, typer.Option(metavar="SIZE", help="Most bytes of stored answers; beyond, the oldest go.")
    ] = "16G",
    quota: Annotated[str, typer.Option(metavar="SIZE", help="Bytes of keys of a tenant.")] = "4G",
    sessions: Annotated[int, typer.Option(min=1, help="Sessions of a tenant.")] = 1000,
    weights_memory: Annotated[str, typer.Option(metavar="SIZE", help="Encoded weights held in memory.")] = "4G",
    keys_memory: Annotated[str, typer.Option(metavar="SIZE", help="Evaluation keys held in memory.")] = "1G",
    requests_memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Bodies and answers held in memory; a tenant has half.")
    ] = "1G",
    connections: Annotated[int, typer.Option(min=2, help="Connections at a time; a tenant has half.")] = 1024,
    json: Json = False,
) -> None:
    """Serve built adapters over HTTP, until the process is told to stop."""
    status = OK
    with guarded("serve", json):
        from slotlang.service.limits import Limits
        from slotlang.service.serving import Address
        from slotlang.service.serving import serve as serve_folder

        numbers = {"rate": rate, "token-rate": token_rate, "wait": wait, "idle": idle}
        for name, number in {**numbers, "lifetime": lifetime, "window": window}.items():
            if not math.isfinite(number):
                raise error("SL005", f"--{name} is a finite number, not {number}")
        limits = Limits(
            body=_size("--max-body", max_body),
            keys=_size("--max-keys", max_keys),
            tokens=max_tokens,
            requests=rate,
            tokens_per_minute=token_rate,
            queue=queue,
            queue_of_tenant=max(queue // 2, 1),
            wait=wait,
            idle=idle,
            lifetime=lifetime,
            window=window,
            quota=_size("--quota", quota),
            sessions=sessions,
            answers=_size("--answers", answers),
            weights_memory=_size("--weights-memory", weights_memory),
            keys_memory=_size("--keys-memory", keys_memory),
            requests_memory=_size("--requests-memory", requests_memory),
            connections=connections,
        )
        _log_to_stderr()
        workers = None
        if scheduler is not None:
            from slotlang.service.dask import Scheduler

            workers = Scheduler(scheduler, scheduler_ca, scheduler_cert, scheduler_key)
        address = Address(host, port, ssl_certfile, ssl_keyfile)
        interrupted = serve_folder(
            folder, state, address, limits, threads or _cores(), workers, lambda url, of: _ready(url, of, json)
        )
        status = INTERRUPTED if interrupted else OK
    raise typer.Exit(status)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _log_to_stderr() -> None:
    import logging

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _ready(url: str, service: Service, as_json: bool) -> None:
    from slotlang.service.tokens import Tenant

    served = service.adapters.seen_by(Tenant("", True, None, 0.0))
    if as_json:
        models = [{"id": a.name, "version": a.version, "modules": len(a.manifest.places)} for a in served]
        emit_json("serve", {"url": url, "models": models})
    else:
        for adapter in served:
            print(f"{adapter.name} {adapter.version}: {count_of(len(adapter.manifest.places), 'module')}")
        print(f"listening to {url}")
        if not service.tokens.every():
            print("there are no tokens yet: `slotlang token add FOLDER TENANT` makes one")
    sys.stdout.flush()


token_app = typer.Typer(
    cls=WholeSummaries,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Tenants' tokens of a service.",
)


@token_app.callback()
def token_options() -> None:
    """Tenants' tokens of a service."""


def _tokens(folder: Path, state: Path | None, *, new: bool = False) -> Tokens:
    """The tokens of a service. ``new``: the state may be made. Raises SL001 for folders that are not there."""
    from slotlang.service.service import STATE
    from slotlang.service.tokens import Tokens

    for path in (folder, state):
        if path is not None and not path.is_dir() and not (new and path is state and not path.exists()):
            raise error("SL001", "there is no such folder", file=str(path))
    return Tokens((folder / STATE if state is None else state) / "tokens")


def _to_json(of: Tenant) -> dict[str, Any]:
    """A token without itself."""
    return {"id": of.id, "tenant": of.name, "admin": of.admin, "models": of.models, "created": of.created}


@token_app.command("add")
def add_token(
    folder: Folder,
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Whose it is.", show_default=False)],
    admin: Annotated[bool, typer.Option("--admin", help="It may load and unload adapters, and read metrics.")] = False,
    model: Annotated[
        list[str], typer.Option(metavar="NAME", help="The adapters that it may use; all if left out; repeatable.")
    ] = [],  # noqa: B006
    state: State = None,
    json: Json = False,
) -> None:
    """Make a token and print it, this once: the service keeps its hash."""
    with guarded("token.add", json):
        try:
            token, made = _tokens(folder, state, new=True).add(tenant, admin=admin, models=tuple(model) or None)
        except OSError as problem:
            where = str(folder if state is None else state)
            raise error("SL564", f"the token can't be kept: {reason_of(problem)}", file=where) from None
        if not any((folder / "manifest.json").is_file() for folder in (folder, *folder.glob("*"))):
            print(f"note: no built adapter is in {folder} now: is it the folder that is served?", file=sys.stderr)
        for name in model:
            if not (folder / name / "manifest.json").is_file():
                print(f"note: no adapter {name!r:.80} is in {folder} now", file=sys.stderr)
        if json:
            emit_json("token.add", {"token": token, **_to_json(made)})
        else:
            print(token)


@token_app.command("list")
def list_tokens(folder: Folder, state: State = None, json: Json = False) -> None:
    """List whose tokens there are."""
    with guarded("token.list", json):
        found = _tokens(folder, state).every()
        if json:
            emit_json("token.list", {"tokens": [_to_json(tenant) for tenant in found]})
            return
        if not found:
            print("there are no tokens", file=sys.stderr)
        for tenant in found:
            what = "all adapters" if tenant.models is None else ", ".join(tenant.models)
            print(f"{tenant.id}  {tenant.name}  {what}{'  admin' if tenant.admin else ''}")


@token_app.command("remove")
def remove_token(
    folder: Folder,
    which: Annotated[
        str, typer.Argument(metavar="ID", help="A token's id, or a tenant: all of its.", show_default=False)
    ],
    state: State = None,
    json: Json = False,
) -> None:
    """Remove tokens; a running service refuses them from now on."""
    with guarded("token.remove", json):
        gone = _tokens(folder, state).remove(which)
        if not gone:
            hint = "`slotlang token list FOLDER` lists them"
            raise error("SL005", f"there is no token {which!r:.80}, and no tenant of this name", hint=hint)
        if json:
            emit_json("token.remove", {"removed": [t.id for t in gone]})
        else:
            print(f"removed {', '.join(t.id for t in gone)}")
