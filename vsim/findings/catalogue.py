"""The catalogue of cross-checks, and what they find in a paste.

    report = examine([("dump.txt", data)])
    report.findings, report.picture, report.pasted
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from vsim.findings import chain, host, paste, traffic, vmsi
from vsim.findings.paste import Pasted
from vsim.findings.picture import Picture, see
from vsim.findings.rows import MAX_OF_A_KIND, Finding

CATALOGUE = (*chain.ROWS, *host.ROWS, *vmsi.ROWS, *traffic.ROWS)
"""All rows, those about single interrupts first."""


class Examined(NamedTuple):
    """A paste, the machine that it shows, and what does not fit."""

    pasted: Pasted
    picture: Picture
    findings: tuple[Finding, ...]


def examine(sources: Iterable[tuple[str, bytes | str]]) -> Examined:
    """Read sources (name, content), and check them against one another. Nothing is refused."""
    pasted = paste.read(sources)
    picture = see(pasted)
    return Examined(pasted, picture, findings(picture))


def findings(picture: Picture) -> tuple[Finding, ...]:
    """What the catalogue finds, at most `MAX_OF_A_KIND` of each row."""
    return tuple(Finding(row, text, sides) for row in CATALOGUE for text, sides in islice(row.check(picture),
                                                                                       MAX_OF_A_KIND))
