"""`vsim report FILE.cfg -o report.html`: the design review of one domain, with running evidence, in one file.

Run again it writes the same bytes: there are no dates and no times in it. The parts are made by `domain` and
`run` (the domain), `host` and `series` (the rest), and rendered by `page` or
`markdown`.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vsim.cli import values

if TYPE_CHECKING:
    from widgets.report.domain import Case
    from widgets.report.paper import Part
    from widgets.report.series import Shown

PAGE = re.compile(r"""(https?://|(?![^/]*:|//))[^\s<>"'`#]{1,2000}""")
"""An address that a report may lead to: of the web, or a path."""


def register(parser: argparse.ArgumentParser) -> None:
    """write the design review of a domain as one HTML file"""
    from vsim.state.profile import PROFILES

    parser.description = ("Build the domain, interrupt every vCPU, run every defect of the series and the evidence of "
                          "every reviewer's question, and write it all down.")
    parser.add_argument("config", metavar="FILE.cfg", nargs="?", type=values.name,
                        help="the domain, in the syntax of xl.cfg(5)")
    parser.add_argument("--dumps", metavar="FILE", nargs="+", type=values.name,
                        help="instead of a domain: dumps and logs of a machine, "
                        "as vsim read takes them")
    parser.add_argument("-o", "--output", metavar="FILE", type=values.place,
                        help="where to write (default: report.html)")
    parser.add_argument("--lspci", metavar="FILE", type=values.name,
                        help="`lspci -vvv` of the host that the pci list refers to")
    parser.add_argument("--profile", default="spec", choices=PROFILES, help="what the machine is made of")
    parser.add_argument("--page", metavar="ADDRESS", default="", help="of a bench.html that vsim site made: the states "
                        "in the report get a link that opens them there")
    parser.add_argument("--markdown", action="store_true", help="write Markdown, with the drawings as SVG beside it")
    parser.set_defaults(func=report)


def report(args: argparse.Namespace) -> int:
    """Play everything, then write; nothing is written when a file has a mistake. Exit status 0, or 130 after Ctrl-C."""
    from vsim.cli.entry import INTERRUPTED
    from vsim.cli.waiting import CtrlC, progress
    from vsim.history import whole
    from vsim.readers.source import shown as quoted
    from widgets.report.domain import play
    from widgets.report.series import show

    output: Path = args.output or Path("report.md" if args.markdown else "report.html")
    if bool(args.dumps) == bool(args.config):
        raise values.Misused("report: found neither or both of FILE.cfg and --dumps; allowed: one of them")
    if args.page and not PAGE.fullmatch(args.page):
        raise values.Misused(f"report: found --page {quoted(args.page)}; allowed: http://..., https://..., or "
                             "a path beside the report, without # and spaces")
    whole.try_out(output)
    if args.dumps:
        return _of_dumps(args.dumps, output, args.markdown)
    with CtrlC() as ctrl_c:
        case = play(args.config, args.lspci, args.profile, progress("interrupts"), ctrl_c.wanted)
    if case.result.stopped:
        print("stopped: the report says what is known so far; Ctrl-C again ends without one", file=sys.stderr)
    files = rendered(document(case, show(), args.page), output.name, args.markdown)
    whole.write_all({output.parent / name: data for name, data in files.items()})
    size = sum(map(len, files.values()))
    print(f"{output}: {size // 1024:,} KiB in {len(files)} file{'s' if len(files) > 1 else ''}; {verdict(case)}")
    return INTERRUPTED if case.result.stopped else 0


def _of_dumps(names: list[str], output: Path, as_markdown: bool) -> int:
    """The report of dumps and logs. The exit status, 0. Misused: nothing in them is recognised."""
    from vsim.history import whole
    from widgets.report import dumped

    found = dumped.read(names)
    if not found.pasted.pieces:
        raise values.Misused("report: nothing is recognised in what was given")
    files = rendered(dumped.document(found), output.name, as_markdown)
    whole.write_all({output.parent / name: data for name, data in files.items()})
    print(f"{output}: {len(found.pasted.pieces)} pieces, {len(found.findings)} findings")
    return 0


def rendered(parts: list[Part], name: str, as_markdown: bool = False) -> dict[str, bytes]:
    """The document's files by name: one page, or a Markdown text and its drawings."""
    from widgets.report.markdown import markdown
    from widgets.report.page import page

    if not as_markdown:
        return {name: page(parts).encode()}
    text, drawings = markdown(parts, Path(name).stem)
    return {name: text.encode(), **drawings}


def verdict(case: Case) -> str:
    """How many vCPUs were reached, in a few words."""
    result = case.result
    return f"{len(result.reached)} of {result.vcpus} vCPUs reached"


def document(case: Case, shown: Shown, page: str = "") -> list[Part]:
    """The whole review, part by part. page: address of a page that opens links, "" for none."""
    from vsim import __version__
    from widgets.report import domain as report_domain
    from widgets.report import host as report_host
    from widgets.report import run as report_run
    from widgets.report import series as report_series
    from widgets.report.paper import Heading, Words, contents

    inside = [*report_domain.configuration(case), *report_run.reach(case), *report_run.interrupts(case, page),
              *report_series.costs(), *report_series.versions(), *report_series.defects(shown, case.base),
              *report_host.host_units(), *report_series.questions(shown), *report_series.limits(),
              *report_series.open_questions(), *report_series.grades()]
    return [Heading(1, f"Design review of Xen's virtual IOMMU: domain \u201c{case.domain.config.name}\u201d", "top"),
            Words(f"The review of 2017, held again with running evidence. {case.file}, profile {case.base.name}, "
                  f"vsim {__version__}.", "lead"),
            summary(case, shown), contents(inside), *inside]


def summary(case: Case, shown: Shown) -> Part:
    """The review on half a page."""
    from vsim.review.questions import QUESTIONS
    from widgets.report.paper import grid
    from widgets.report.series import DEFECTS

    config, still = case.domain.config, [each.number for each in QUESTIONS if each.open]
    unit = (f"type {config.viommu.type}, interrupt remapping {'on' if config.viommu.intremap else 'off'}"
            if config.viommu else "none")
    faults = case.result.guest.faults
    return grid("In short", ("", ""), [
        ("Domain", f"{case.result.vcpus} vCPUs, APIC IDs 0 to {case.domain.machine.apic_id[-1]}, "
                   f"{len(case.domain.devices)} devices"),
        ("vIOMMU", unit),
        ("Interrupts", f"{verdict(case)}; {case.result.sent} sent, {case.result.blocked} blocked, "
                       f"{case.result.refused} refused by the guest's kernel, {len(faults)} faults"),
        *((f"Interrupt {number}", f"{each.title}: {each.journey.verdict}")
          for number, each in enumerate(case.drawn, 1)),
        ("Defects", f"{len(DEFECTS)} in the series; {len(shown.seen)} shown here as coded and corrected, "
                    f"{len(DEFECTS) - len(shown.seen)} told only"),
        ("Worst", f"a guest can crash or stall the hypervisor through {', '.join(shown.stops)}; every device can "
                  "raise any other's interrupt (D10)"),
        ("Questions", f"{len(QUESTIONS)}; {len(shown.answers)} answered with runs, the others told. "
                      f"Still open: {', '.join(still)}")], (1.6, 8.4))
