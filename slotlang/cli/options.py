"""Options and arguments that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slotlang.cli.completion import program_files, size_names

Sizes = Annotated[
    list[str],
    typer.Option("--set", metavar="NAME=N", help="Give a size another value; repeatable.", autocompletion=size_names),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON; docs/json.md has the shapes.")]
ProfileFile = Annotated[
    Path | None,
    typer.Option("--profile", help="Measured times to predict by: what calibrate wrote.", show_default=False),
]
Hiding = Annotated[
    str,
    typer.Option(
        "--hide",
        metavar="HOW",
        help="How results keep to themselves what is no result: mask (random plaintexts), exact (conjugates), or none.",
    ),
]
KernelOption = Annotated[
    str,
    typer.Option(
        "--kernel",
        metavar="HOW",
        help="What multiplies ciphertexts: compiled (kernels on residues), matrix (without rotations), seal, or auto.",
    ),
]
WireOption = Annotated[
    str,
    typer.Option(
        "--wire",
        metavar="FORMAT",
        help="What client and server exchange: slotlang (the runtime's own format), or seal (objects that SEAL saves).",
    ),
]
Precision = Annotated[
    float | None,
    typer.Option(
        "--precision",
        metavar="P",
        help="Search the fastest parameters with this relative rms error.",
        show_default=False,
    ),
]
KeyBytes = Annotated[
    int | None,
    typer.Option("--max-key-bytes", metavar="N", help="Most bytes of keys, with --precision.", show_default=False),
]
Bounds = Annotated[
    list[str],
    typer.Option(
        "--bound",
        metavar="NAME=LIMIT",
        help="Assume that no element of an input, a weight or a scalar is larger: x=8, A=1/64; repeatable.",
    ),
]
BoundNorms = Annotated[
    list[str],
    typer.Option(
        "--bound-norm",
        metavar="NAME=LIMIT",
        help="Assume that no Euclidean norm is larger: of a token of an input (over axis 0), of a row of a weight "
        "(over its last axis); B[:, j]=2 names another; repeatable.",
    ),
]
GivenParameters = Annotated[
    str | None,
    typer.Option(
        "--parameters",
        metavar="TEXT",
        help='These and no others: "degree 8192 primes 60,60,60 scales 36", as in a program\'s own statement.',
        show_default=False,
    ),
]
AdapterFolder = Annotated[
    Path | None, typer.Option(help="A PEFT adapter folder: its weights are what errors are predicted for.")
]
Modules = Annotated[
    list[str],
    typer.Option(metavar="[RESULT=]NAME", help="The adapter's module; one for each result, or a layer's path."),
]
BaseChanged = Annotated[
    bool, typer.Option("--base-changed", help="The base was changed as the adapter needs it (SL520).")
]
DataFile = Annotated[
    Path | None,
    typer.Option(help="A .npz file with weights and scalars by name, and inputs: errors are predicted for these."),
]
Symbolic = Annotated[bool, typer.Option("--symbolic", help="Formulas in the program's sizes, and where they hold.")]
File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="A .slot program; FILE:name, of several in it; - is standard input.",
        show_default=False,
        autocompletion=program_files,
    ),
]
Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help=".slot programs; - is standard input.",
        show_default=False,
        autocompletion=program_files,
    ),
]
