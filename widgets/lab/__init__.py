"""`Lab`: a machine on the bench, and what belongs to all of its views.

    from widgets.lab import Lab

In the order in which to read them; a module imports only from those above it:

    gestures   what a person did, as a list
    kernel     the small guest of a Lab
    branches   futures that were replaced
    storms     every device sends
    deeds      gestures done again, for links
    views      views and pictures by name
    cells      a view in a notebook's cell
    attached   a QEMU beside a Lab
    recorded   a recorded run of a real system as a Lab
    running    a program of real instructions on a Lab
    lab        `Lab`, which knows no view
    panel      what every panel has
    beside     the panel of that QEMU
    dock       a view in JupyterLab's side area
    copylink   the state as an address and as a line of Python
    keys       buttons that a key presses from anywhere in the bench
    progress   how far long work is
    controls   the row above the bench
    bench      all of it in one view
    inspector  dumps and logs pasted in, faults sent again
    chromium   a browser without a window
    printed    the notebooks on paper
    opened     a notebook for a recorded run
    present    settings for a projector
    command    `vsim lab`
    shared     one server for a class
    at_once    what a kernel says, without TCP's delay
"""


FRONT_DOOR: dict[str, str] = {"Lab": "widgets.lab.lab", "Inspector": "widgets.lab.inspector"}
"""The public names, and the modules that have them."""


def __getattr__(name: str) -> object:
    """`Lab` and `Inspector`, loaded when they are asked for: `vsim --help` reads a line of `command` here."""
    if name not in FRONT_DOOR:
        raise AttributeError(f"module 'widgets.lab' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(FRONT_DOOR[name]), name)
    return value
