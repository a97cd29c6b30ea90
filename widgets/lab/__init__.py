"""`Lab`: a machine on the bench, and what belongs to all of its views.

    from widgets.lab import Lab

In the order in which to read them; a module imports only from those above it:

    kernel    the small guest of a Lab
    storms    every device sends
    views     views by name
    lab       `Lab`
    panel     what every panel has
    progress  how far long work is
    controls  the row above the bench
    bench     all of it in one view
    command   `vsim lab`
"""


def __getattr__(name: str) -> object:
    """`Lab`, loaded when it is asked for: `vsim --help` reads a line of `command` here."""
    if name != "Lab":
        raise AttributeError(f"module 'widgets.lab' has no attribute {name!r}")
    from widgets.lab.lab import Lab

    return Lab
