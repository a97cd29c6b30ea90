"""Values that nobody expects, for what has to refuse them by name."""

LONG = "x" * 100_000


class NoIndex:
    """Something that says it is a number, and is none."""

    def __index__(self):
        raise RuntimeError("no number")


def endless():
    """A list that holds itself."""
    out = []
    out.append(out)
    return out
