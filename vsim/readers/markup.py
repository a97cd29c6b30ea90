"""Marks that pages, trackers and forums put into a text: HTML, Markdown, Jira, BBCode; taken out row by row.

    marks = Marks(text)
    marks.pieces(row)       # the lines of a row, each with the place in the row where it begins

Only marks are taken that none of the texts which are read here has of its own: tags by their names (`<IRQ>` and
`<access denied>` stay), entities of HTML, stars and back-ticks in pairs around something. A tag that begins a line of a
page (`<br>`, `<p>`, `<tr>`) ends one here.
"""

from __future__ import annotations

import html
import re

_BLOCK = "br|p|div|pre|hr|li|ul|ol|tr|td|th|table|tbody|thead|blockquote|details|summary|h[1-6]"
_INLINE = "code|b|i|u|s|em|strong|tt|span|a|kbd|samp|font|small|big|sub|sup|mark|del|ins|wbr"
_FORUM = "code|quote|b|i|u|color|size|font|tt|pre|url|spoiler|noparse|log|cmd"
_ENDS = re.compile(rf"</?(?:{_BLOCK})(?:\s[^<>]{{0,300}})?/?>", re.IGNORECASE)
_TAG = re.compile(rf"</?(?:{_INLINE})(?:\s[^<>]{{0,300}})?/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:amp;)?(lt|gt|amp|quot|apos|nbsp|shy|#\d{1,5}|#[xX][0-9a-fA-F]{1,4});")
_PAGE = re.compile(rf"</?(?:{_BLOCK}|{_INLINE})[\s/>]|{_ENTITY.pattern}", re.IGNORECASE)
_MACRO = re.compile(r"\{(?:noformat|code|quote|panel|color)(?::[^{}]{0,200})?\}|\{\{([^{}]{1,300})\}\}")
_STARS = re.compile(r"(?:(?<=^)|(?<=[\s(\"'>:,]))(\*{1,3})(?=[\w\[(<])([^*]{1,300})(?<=[\w\])>.:;%])\1(?![*\w/])")
_TICKS = re.compile(r"(`{1,3})([^`]{1,2000})\1|^\s*```(?=[^`])|(?<=[^`])```\s*$")
_ITEM = re.compile(r"^\s*[-*+] +(?=`[^`]|\*\*\w|\{\{|<code>)")
_ESCAPED = re.compile(r"\\([\[\]<>*`])")
_CLOSED = re.compile(rf"\[/({_FORUM})\]", re.IGNORECASE)
_UNSEEN = {ord(each): None for each in "\u200b\u200c\u200d\u2060\ufeff\xad"} | {
    ord(each): " " for each in "\u2002\u2003\u2007\u2009\u202f\u3000"} | {0x2010: "-", 0x2011: "-"}
"""What a page has between letters and nobody sees, its blanks, and hyphens that do not end a line."""
_ODD = "".join(map(chr, _UNSEEN))
_MAY = re.compile(rf"[<&*`{{\\{_ODD}]")
_HAS = re.compile(rf"{_PAGE.pattern}|\*[\w\[(<]|`|\{{(?:\{{|noformat|code|quote|panel|color)|\\[\[\]<>*]|"
                  rf"\[/(?:{_FORUM})\]|[{_ODD}]", re.IGNORECASE)
_BEGINNING = 16


class Marks:
    """The marks of one text. forum: BBCode's names that it closes somewhere, else its brackets are a log's own."""

    def __init__(self, text: str, most: int) -> None:
        self.any = _HAS.search(text, 0, most) is not None
        names = {match[1].lower() for match in _CLOSED.finditer(text, 0, most)} if self.any else set[str]()
        self._forum = re.compile(rf"\[/?(?:{'|'.join(sorted(names))})(?:[= ][^\[\]]{{0,200}})?\]", re.IGNORECASE) \
            if names else None

    def pieces(self, row: str) -> list[tuple[int, str]]:
        """(place in the row, line) of each line of a row; without marks the row itself."""
        if not self.any or not (_MAY.search(row) or (self._forum and "[" in row)):
            return [(0, row)]
        begins, found = 0, []
        for end in _ENDS.finditer(row):
            found.append((begins, row[begins:end.start()]))
            begins = end.end()
        found.append((begins, row[begins:]))
        told = [each for each in found if each[1].strip()] if begins else found
        return [(_place(row, at, line), line) for at, text in told or [(0, "")] for line in [self._plain(text)]]

    def _plain(self, text: str) -> str:
        text = _ITEM.sub("", text)
        if self._forum:
            text = self._forum.sub("", text)
        text = _MACRO.sub(lambda match: match[1] or "", _TAG.sub("", text))
        text = _ENTITY.sub(lambda match: html.unescape(f"&{match[1]};"), text).translate(_UNSEEN)
        text = _TICKS.sub(lambda match: match[2] or "", text)
        return _ESCAPED.sub(r"\1", _STARS.sub(r"\2", text))


def _place(row: str, at: int, line: str) -> int:
    """Where in a row a line begins that was taken out of it from `at` on: found by its first letters."""
    marks = len(line) - len(line.lstrip("> "))
    return max(row.find(line[marks:marks + _BEGINNING], at) - marks, at)
