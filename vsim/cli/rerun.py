"""What `vsim replay` tells of the recording of a whole run: what was compared, what differs, what the checker says."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

from vsim.replay import rerun
from vsim.replay.recording import Recording
from vsim.replay.rerun import KINDS, Outcome, Unlike
from vsim.replay.taken import WHY
from vsim.state.commands import to_row
from vsim.state.profile import PROFILES, QUIRKS, profile

MOST_SHOWN = 3
"""Differences of a kind that are shown."""


def told(recording: Recording, named: str | None, check: bool) -> bool:
    """Run a recording and print what came out; whether the machine did everything that was recorded, and no more."""
    if named:
        chosen = profile(named).with_capabilities(recording.profile.capabilities)
        recording = replace(recording, profile=chosen)
    outcome = rerun.run(recording)
    print(heading(outcome))
    print(table(outcome))
    print(taken(outcome))
    for line in differences(outcome):
        print(line)
    if check:
        print(judged(outcome))
    return outcome.same


def heading(outcome: Outcome) -> str:
    """What was run: the file, the machine, how long it was, and the words that came with it."""
    recording = outcome.recording
    last = recording.moments[-1].us if recording.moments else 0
    made = "".join(f"\n  {key}: {value}" for key, value in recording.made.items())
    named = sorted(recording.profile.quirks - PROFILES[recording.profile.name].quirks)
    made += "".join(f"\n  deviation {name}: {QUIRKS[name].does}" for name in named)
    return (f"{recording.file}: {recording.vcpus} vCPUs, {last / 1e6:.1f} s recorded, "
            f"{len(outcome.commands):,} commands under {recording.profile.name}{made}")


def table(outcome: Outcome) -> str:
    """A line for each kind of thing that was compared."""
    lines = [f"{'':30}  recorded      equal  only here"]
    return "\n".join(lines + [f"{name:30}  {tally.recorded:8,}   {tally.equal:8,}   {tally.more:8,}"
                              for name, tally in ((KINDS[kind], tally) for kind, tally in outcome.tallies.items())])


def taken(outcome: Outcome) -> str:
    """Vectors that vCPUs began to run, by what is said of them."""
    lines = [f"{'vectors taken':30}  {outcome.taken.total():8,}"]
    return "\n".join(lines + [f"{'':30}  {count:8,}  {WHY[why]}" for why, count in outcome.taken.most_common()])


def differences(outcome: Outcome) -> list[str]:
    """The first differences of each kind, and the first vectors that nothing explains."""
    out = []
    for kind, name in KINDS.items():
        some = [one for one in outcome.unlike if one.kind == kind]
        if some:
            out.append(f"\n{name} that differ:")
            out += [shown(one, outcome.recording.file) for one in some[:MOST_SHOWN]]
    if outcome.untold:
        out.append("\nvectors taken that nothing explains:")
        out += [f"{outcome.recording.file}:{moment.line}: after {moment.us / 1e6:.6f} s, vCPU {vcpu}: {vector:#x}"
                for moment, vcpu, vector in outcome.untold[:MOST_SHOWN]]
    return out


def shown(one: Unlike, file: str) -> str:
    """A difference: where, what was done, what each of the two did."""
    moment = one.moment
    command = json.dumps(to_row(moment.command))[:100] if moment.command else "nothing"
    who = f"vCPU {moment.vcpu}" if moment.vcpu >= 0 else "no vCPU"
    return (f"{file}:{moment.line}: after {moment.us / 1e6:.6f} s, {who}: {command}\n"
            f"  recorded: {_values(one.recorded)}\n  here:     {_values(one.found)}")


def _values(rows: tuple[tuple[object, ...], ...]) -> str:
    texts = (" ".join(hex(v) if isinstance(v, int) else str(v) for v in row) for row in rows[:8])
    return ", ".join(texts) + (f" and {len(rows) - 8} more" if len(rows) > 8 else "") or "nothing"


def judged(outcome: Outcome) -> str:
    """The checker's findings: how many of each rule, and the first of each."""
    found = rerun.findings(outcome)
    counts = Counter((one.rule.severity, one.rule.name) for one in found)
    lines = [f"\nthe checker: {len(found)} findings"]
    for (severity, name), count in counts.most_common():
        first = next(one for one in found if one.rule.name == name)
        where = f"{outcome.recording.file}:{outcome.lines[first.step]}" if first.step >= 0 else "before"
        lines.append(f"  {count:6,}  {severity:10} {name}; first {where}: {first.detail}")
    return "\n".join(lines)
