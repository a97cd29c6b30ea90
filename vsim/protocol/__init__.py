"""The checker of what software does to a unit.

In the order in which to read them; a module imports only from those above it:

    exposure       what a unit may still hold of its table
    invalidations  which invalidations cover what
    delivery       what a unit may do with a request
    conduct        what software has done to a unit
    facts          what the rules ask about
    predicates     the conditions of the rules
    rules          the rules as data
    observer_irq   a log read for interrupts
    observer       a log read for everything
    checker        `check`: the findings of a log
"""
