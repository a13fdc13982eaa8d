"""Write the pages of the documents' site, or check the site that was built of them.

``python docs/make_site.py`` writes build/pages: the pages of docs/, those of the repository's root, the notebook as a
page, and a page for each program that is linked to. Links between them lead from page to page. ``python
docs/make_site.py check`` reads build/site and fails where a link or an anchor leads nowhere, or something would be
loaded from elsewhere. It needs Python alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "build" / "pages"
SITE = ROOT / "build" / "site"
MOVED = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/minilm_adapter/README.md": "example-adapter.md",
    "docs/notebook.ipynb": "notebook.md",
}
"""Files of the repository that are pages, besides docs/*.md, and what they are called."""

LINK = re.compile(r"(?<=\]\()([^)\s#]*)((?:#[^)\s]*)?)(?=\))")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
DOCUMENT = re.compile(r"(?<![\[`/\w])`docs/([\w-]+)\.md`")
"""A page of docs/ named in code, as the README's table does."""


def sources() -> dict[str, str]:
    """Files that are pages, with the pages' names."""
    found = {f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*.md"))}
    return {**found, **MOVED}


def page_of(file: str, known: dict[str, str]) -> str | None:
    """What a file of the repository is on the site: a page, or None for one that is not there."""
    if file in known:
        return known[file]
    if file.endswith(".slot") and (ROOT / file).is_file():
        return f"{file.removesuffix('.slot')}.md"
    path = ROOT / file
    return file.removeprefix("docs/") if path.is_file() and path.suffix in (".png", ".svg") else None


def converted(file: str, text: str, known: dict[str, str], wanted: set[str]) -> str:
    """A page's text with links as they are on the site. Files that are linked to, and are no pages, are ``wanted``.
    What is not on the site is named and not linked."""
    here = Path(known[file]).parent

    def link(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2]
        if not target or urlsplit(target).scheme:
            return match[0]
        path = os.path.normpath(Path(file).parent / unquote(target))
        page = page_of(path, known)
        if page is None:
            return "!"
        if path not in known:
            wanted.add(path)
        return os.path.relpath(page, here) + anchor

    parts, done = [], 0
    for code in CODE.finditer(text):
        parts += [LINK.sub(link, text[done : code.start()]), code[0]]
        done = code.end()
    text = "".join([*parts, LINK.sub(link, text[done:])])
    # a link to what is not there becomes its text
    text = re.sub(r"\[([^\]\n]*)\]\(!\)", r"\1", text)
    return DOCUMENT.sub(lambda m: f"[{m[1]}]({m[1]}.md)" if f"docs/{m[1]}.md" in known else m[0], text)


def notebook_page(text: str) -> str:
    """A notebook as Markdown: texts, code, and outputs as they are in Jupyter."""
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        language = "slot" if source.startswith("%%slot") else "python"
        parts.append(f"```{language}\n{source}\n```")
        parts += map(_output, cell["outputs"])
    return "\n\n".join(parts) + "\n"


def _output(output: dict[str, object]) -> str:
    data = output.get("data")
    if isinstance(data, dict) and "text/html" in data:
        # blank lines would end the HTML
        html = re.sub(r"\n(?=\s*\n)", "\n&#8203;", "".join(data["text/html"]))
        return f"<div>{html}</div>"
    if isinstance(data, dict):
        return f"<pre>{escape(''.join(data['text/plain']), quote=False)}</pre>"
    lines = output.get("traceback") or output.get("text") or ()
    assert isinstance(lines, list | tuple)
    joined = "\n".join(line.rstrip("\n") for line in lines)
    return f"```text\n{joined}\n```"


def write() -> None:
    """Write all pages anew."""
    shutil.rmtree(PAGES, ignore_errors=True)
    known, wanted = sources(), set[str]()
    for file, page in known.items():
        text = (ROOT / file).read_text(encoding="utf-8")
        if file.endswith(".ipynb"):
            text = notebook_page(text)
        _put(page, converted(file, text, known, wanted))
    for file in sorted(wanted):
        target = page_of(file, known)
        assert target is not None
        if file.endswith(".slot"):
            name, text = Path(file).stem, (ROOT / file).read_text(encoding="utf-8")
            _put(target, f"# {name}\n\n`{file}`\n\n```slot\n{text}```\n")
        else:
            (PAGES / target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, PAGES / target)
    print(f"build/pages: {len(known)} pages, {len(wanted)} programs and pictures")


def _put(page: str, text: str) -> None:
    path = PAGES / page
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


class _Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if "src" in found or (tag == "link" and found.get("rel") not in ("canonical", "prev", "next", "edit")):
            self.loaded.append(found.get("src", found.get("href", "")))


def check() -> int:
    """Links, anchors and what is loaded, of every page of the site; the exit status."""
    pages = {path: _Links(path.read_text(encoding="utf-8")) for path in sorted(SITE.rglob("*.html"))}
    wrong = []
    for path, page in pages.items():
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded and parts.scheme != "data":
                    wrong.append(f"{path.relative_to(SITE)} loads {link}")
                continue
            # 404.html is served at any address, and its links are the site's own
            if path.name == "404.html":
                continue
            target = path if not parts.path else Path(os.path.normpath(path.parent / unquote(parts.path)))
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                wrong.append(f"{path.relative_to(SITE)} links to {link}, which is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                wrong.append(f"{path.relative_to(SITE)} links to {link}, which has no such anchor")
    print("\n".join(wrong) or f"build/site: {len(pages)} pages, and every link leads somewhere")
    return int(bool(wrong) or not pages)


if __name__ == "__main__":
    if sys.argv[1:] == ["check"]:
        sys.exit(check())
    write()
