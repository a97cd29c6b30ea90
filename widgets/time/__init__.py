"""Time on the bench: where the machine is, and what happened.

In the order in which to read them; a module imports only from those above it:

    moments   steps and jumps in a history
    happened  what happened, as rows of words
    rows      a table whose rows can be chosen
    ticks     gestures, refusals and lanes
    bar       the bar in the page
    reader    what the panels below share
    travel    play, step, drag, jump
    why       why an interrupt went so
    events    the table, with what it shows
    timeline  the three in one view
"""
