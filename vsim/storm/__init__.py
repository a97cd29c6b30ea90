"""Millions of interrupts: one source at several speeds.

In the order in which to read them; a module imports only from those above it:

    workload    what a storm does
    loop        its inner loops, interpreted or compiled
    view        a machine as dense arrays
    vectorised  the loops by numpy
    engines     which of them is there
    cc          the system's C compiler
    in_c        the loops in C, to measure by
    run         `storm`
"""
