"""widgets: controls and pictures for vsim in Jupyter.

A widget turns a gesture into a command and draws (machine, events); it decides nothing. Nothing
is imported here, since `vsim --help` loads `widgets.lab.command` for one line of text.
"""
