"""The module of the page, put together of the parts in `js/`: no build step, no Node.

A part is an ES module that a browser loads as it is. `assemble` lays the parts end to end, each behind those that it
imports, without their imports and exports, so that one text serves the notebook and the file. To make that safe a part
keeps to this, and what does not is a ValueError with its place:

- at its head `import { a, b } from "./part.js";`, nothing renamed, only what that part exports;
- then declarations, one name each: `const`, `let`, `class`, `function`, exported or not; nothing runs when it loads;
- what a declaration goes on with is indented, save its closing bracket;
- a text between backticks ends on its line, so what stands before a line's first letter, and a line that is a comment,
  mean nothing: they stay behind, which makes the module a fifth shorter;
- no two parts declare the same name, and no part imports one that imports it, however far about;
- the first part (`ENTRY`) ends in the one `export default`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent / "js"
ENTRY = "view.js"

_IMPORT = re.compile(r'import \{ ([\w, ]+) \} from "\./(\w+\.js)";')
_DECLARATION = re.compile(r"(export )?(?:const|let|class|(?:async )?function\*?) (\w+)\b(.*)")
_DEFAULT = re.compile(r"export default \{ \w+ \};")
_REST = re.compile(r"[ })\]]|//|/\*\*|$")
_COMMENT = re.compile(r"//(?:(?!\*/).)*|/\*\*(?:(?!\*/).)*\*/")
_INNER = re.compile(r"""//.*|"[^"]*"|'[^']*'|`[^`]*`|\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}""")


class Part(NamedTuple):
    """One file: what it imports of which part, what it declares and exports, and its text without either line."""

    name: str
    imports: dict[str, list[str]]
    declared: list[str]
    exported: list[str]
    body: str


@cache
def module() -> str:
    """The module that every map loads; its default export has `render`, as anywidget wants it."""
    return assemble(FOLDER, ENTRY)


def assemble(folder: Path, entry: str) -> str:
    """The parts that `entry` needs as one module. ValueError as above."""
    parts = order(folder, entry)
    owner: dict[str, str] = {}
    for part in parts:
        for name in part.declared:
            if name in owner:
                raise ValueError(f"{part.name} declares {name}, which {owner[name]} declares")
            owner[name] = part.name
    return "\n".join(f"// --- {part.name} ---\n{lean(part.body)}" for part in parts)


def lean(text: str) -> str:
    """The text of a part without indentation, empty lines, and lines that are a comment as a whole."""
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not _COMMENT.fullmatch(line))


def order(folder: Path, entry: str) -> list[Part]:
    """The parts that `entry` needs, itself last: each behind those that it imports, which export what it wants."""
    done: dict[str, Part] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError(f"parts import in a circle: {' -> '.join([*path[path.index(name):], name])}")
        if name in done:
            return
        part = read(folder / name, name == entry)
        for other, names in part.imports.items():
            visit(other, (*path, name))
            if missing := set(names) - set(done[other].exported):
                raise ValueError(f"{name} imports {', '.join(sorted(missing))}, which {other} does not export")
        done[name] = part

    visit(entry, ())
    return list(done.values())


def read(path: Path, first: bool = False) -> Part:
    """One part. first: whether it is the one with the `export default`."""
    part = Part(path.name, {}, [], [], "")
    kept, ended = [], False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if ended and line:
            raise ValueError(f"{path.name}:{number}: something behind the export default")
        if found := _IMPORT.fullmatch(line):
            if part.declared:
                raise ValueError(f"{path.name}:{number}: an import behind a declaration")
            part.imports.setdefault(found[2], []).extend(found[1].split(", "))
            continue
        if line.count("`") % 2:
            raise ValueError(f"{path.name}:{number}: a text between backticks that does not end on its line")
        if found := _DECLARATION.fullmatch(line):
            if "," in _outer(found[3]):
                raise ValueError(f"{path.name}:{number}: one name a declaration, please")
            part.declared.append(found[2])
            part.exported.extend([found[2]] if found[1] else [])
            line = line.removeprefix("export ")
        elif first and _DEFAULT.fullmatch(line):
            ended = True
        elif not _REST.match(line):
            raise ValueError(f"{path.name}:{number}: {line!r} is neither an import nor a declaration")
        kept.append(line)
    if first and not ended:
        raise ValueError(f"{path.name}: no export default at its end")
    return part._replace(body="\n".join(kept).strip("\n") + "\n")


def _outer(text: str) -> str:
    """The text of a line without its comment and what stands in quotes or between brackets."""
    while (less := _INNER.sub("", text)) != text:
        text = less
    return re.split(r"[(\[{]", text)[0]
