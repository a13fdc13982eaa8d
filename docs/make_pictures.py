"""Draw the pictures of docs/: ``python docs/make_pictures.py`` those that slotlang draws, ``--screens`` photographs of
pages too, which takes headless Chromium. A test draws the first kind again and compares.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from slotlang import api
from slotlang.cli import main
from slotlang.notebook.displays import html
from slotlang.notebook.magic import checked
from slotlang.show.canvas import INK, PALE, Canvas
from slotlang.show.colours import RIGHT, UNSPOKEN

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
SMALL = "--set d=32 --set r=4 --set batch=2 --set slots=16"
COMMANDS = {
    "layout.svg": "show docs/tutorial/layout.slot X --svg {}",
    "diagonal.svg": "show docs/tutorial/diagonals_backwards.slot P[1] --svg {}",
    "refuted.svg": "check docs/tutorial/diagonals_backwards.slot --svg {}",
    "multiplexed.svg": "show programs/convolutions/multiplexed_convolution.slot X --svg {}",
    # kept results of an earlier search would be drawn with other counts
    "front.svg": "synth --no-cache --d-in 384 --d-out 384 --rank 8 --batch 8 --precision 1e-3"
    " -o build/found.slot --svg {}",
}
"""Pictures with the commands that write them, in the repository's root."""
SCREENS = {
    "page.png": (f"report programs/rank_complex.slot {SMALL} -o {{}}", 1280, 1120),
    "page-refuted.png": ("report docs/tutorial/diagonals_backwards.slot -o {}", 1280, 1120),
}
"""Photographs of pages with the commands that write these, width and height."""


def command(words: str, target: Path) -> None:
    """What a command writes, as if called in the repository's root. Its exit status does not matter."""
    before, arguments = Path.cwd(), sys.argv
    os.chdir(ROOT)
    sys.argv = ["slotlang", *words.format(target).split()]
    try:
        main()
    except SystemExit:
        pass
    finally:
        sys.argv = arguments
        os.chdir(before)


def parties() -> str:
    """Client, network and service: what each has, and what crosses between them."""
    canvas = Canvas("parties")
    boxes = [
        (20, "client", ("x, y", "secret key", "encrypts, decrypts"), RIGHT),
        (350, "network", ("bytes inside TLS", "their sizes and times"), UNSPOKEN),
        (680, "service", ("A, B", "evaluation keys", "multiplies, rotates, masks"), RIGHT),
    ]
    for x, name, texts, fill in boxes:
        canvas.cell(x, 20, 200, 130, fill, stroke=PALE)
        canvas.text(x + 14, 46, name, 15, INK, bold=True)
        for n, text in enumerate(texts):
            canvas.text(x + 14, 74 + 22 * n, text, 13)
    for x, to, y, text in (
        (220, 350, 62, "keys, x encrypted"),
        (550, 680, 62, "keys, x encrypted"),
        (350, 220, 118, "y encrypted"),
        (680, 550, 118, "y encrypted"),
    ):
        canvas.line(x, y, to, y, PALE, 2)
        step = -9 if to > x else 9
        canvas.line(to, y, to + step, y - 5, PALE, 2)
        canvas.line(to, y, to + step, y + 5, PALE, 2)
        canvas.text((x + to) / 2, y - 8, text, 11.5, PALE, anchor="middle")
    said = "Keys and x travel encrypted from the client to the service, y encrypted back."
    return canvas.finish(900, 170, "Who has what", said)


def draw(name: str, target: Path) -> None:
    """One of the pictures that slotlang draws."""
    if name == "parties.svg":
        target.write_text(parties(), encoding="utf-8")
    else:
        command(COMMANDS[name], target)


def screens(folder: Path) -> None:
    """The photographs."""
    pages = {}
    for name, (words, width, height) in SCREENS.items():
        pages[name] = folder / f"{name}.html"
        command(words, pages[name])
        photograph(pages[name], PICTURES / name, width, height)
    text = (ROOT / "docs" / "tutorial" / "diagonals_backwards.slot").read_text(encoding="utf-8")
    _, found = checked("wrong", text, "In[4]")
    page = folder / "cell.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><body style='margin: 12px'>{html(found)}", encoding="utf-8")
    photograph(page, PICTURES / "notebook.png", 980, 880)
    found = api.synth(16, 16, 4, batch=2)
    page.write_text(f"<!doctype html><meta charset=utf-8><body style='margin: 12px'>{html(found)}", encoding="utf-8")
    photograph(page, PICTURES / "notebook-synth.png", 1180, 880)


def photograph(page: Path, target: Path, width: int, height: int) -> None:
    """A page as it is drawn, at a window's size."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        sys.exit("there is no Chromium")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=4000"]
    place = [f"--window-size={width},{height}", f"--screenshot={target}", page.as_uri()]
    subprocess.run([browser, *flags, *place], check=True, capture_output=True)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    # programs that are found on the way
    (ROOT / "build").mkdir(exist_ok=True)
    for name in (*COMMANDS, "parties.svg"):
        draw(name, PICTURES / name)
    if sys.argv[1:] == ["--screens"]:
        with tempfile.TemporaryDirectory() as made:
            screens(Path(made))
