"""A program of real instructions on a Lab's machine (`vsim.guest.processor`): each of its accesses is a gesture.

    run = lab.run(shipped("driver"), index, low, high)
    lab.fire("03:00.0", 0)
    run.go()                            # takes the interrupt
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vsim.guest.processor import MOST_INSTRUCTIONS, MOST_STEPS, Processor, Stand
from vsim.guest.program import Program
from vsim.state.commands import Command
from vsim.state.trace import Event


class Running:
    """A program that runs on a Lab. stand: where it stands, and why it does not go on."""

    def __init__(self, lab: Any, program: Program | bytes, numbers: Sequence[int], vcpu: int) -> None:
        """As `Processor`; it is loaded and runs. ValueError as there, and as `Program` for bytes."""
        self.lab, self.program = lab, program if isinstance(program, Program) else Program(program)
        self._last: tuple[int, Command | None] = 0, None
        self._processor = Processor(lambda: lab.machine, self._do, self.program, numbers, vcpu)
        self.stand: Stand = self.go()

    def __repr__(self) -> str:
        return f"vCPU {self._processor.vcpu} {self.stand}"

    def go(self, instructions: int = MOST_INSTRUCTIONS, steps: int = MOST_STEPS) -> Stand:
        """Go on, until it waits, ends, is stopped or has done that much; where it stands.

        ValueError when the Lab was moved back behind it: its registers would not fit the machine.
        """
        with self.lab.lock:
            position, last = self._last
            if self.lab.position < position or self.lab.history.commands[position - 1] != last:
                raise ValueError(f"the Lab is at command {self.lab.position}; the program has come to {position}, and "
                                 "goes on from there alone: lab.goto(), or run it anew")
            self.stand = self._processor.go(instructions, steps)
        return self.stand

    def _do(self, name: str, commands: Sequence[Command]) -> list[Event]:
        events: list[Event] = self.lab.issue(*commands, name=name)
        self._last = self.lab.position, commands[-1]
        return events
