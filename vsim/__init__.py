"""vsim: a bit-exact simulator of interrupt remapping as a guest of Xen's virtual IOMMU meets it.

A machine is a value, a command is something that software or hardware does to it, and `step` turns both into events:

    from vsim import Machine, commands, profile, step
    machine = Machine(profile("spec"), vcpus=8)
    events = step(machine, commands.MmioRead(0xFEC00000, 4))

`FRONT_DOOR` is what a first try needs, from here without knowing the packages behind; nothing is loaded before it is
asked for. The packages, lowest first, are in CONTRIBUTING.md; what is in each of them, in its docstring.
"""

__version__ = "0.1.0"

FRONT_DOOR: dict[str, str] = {
    "Machine": "vsim.state.arrays", "Profile": "vsim.state.profile", "profile": "vsim.state.profile",
    "commands": "vsim.state", "step": "vsim.machine", "Act": "vsim.state.trace", "Event": "vsim.state.trace",
    "IRTE": "vsim.layouts.formats", "create_op": "vsim.devices.viommu", "xl": "vsim.readers", "lspci": "vsim.readers",
    "build": "vsim.domain.builder", "Guest": "vsim.guest.kernel", "History": "vsim.history.log",
    "explain_in": "vsim.explain.interrupt", "why": "vsim.explain.interrupt", "check": "vsim.protocol.checker",
    "sweep": "vsim.scale.run",
}
"""The public names, and the module or package that has each."""


def __getattr__(name: str) -> object:
    """A name of the front door, loaded now."""
    if name not in FRONT_DOOR:
        raise AttributeError(f"module 'vsim' has no attribute {name!r}; its names are {', '.join(FRONT_DOOR)}")
    from importlib import import_module

    home = import_module(FRONT_DOOR[name])
    value: object = getattr(home, name) if hasattr(home, name) else import_module(f"{FRONT_DOOR[name]}.{name}")
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *FRONT_DOOR})
