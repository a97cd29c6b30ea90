"""What was done to a machine: log, undo, branches, files.

In the order in which to read them; a module imports only from those above it:

    whole    files written whole or not at all
    said     notes and what is assumed, in a link and in a session
    session  the file
    link     a state as a short text
    log      `History`: a cursor in a log of commands
"""
