"""`vsim bench --browser` and `--film`: the live kit measured, and filmed.

In the order in which to read them; a module imports only from those above it:

    server    a JupyterLab of its own
    browser   the map on a bare page
    notebook  the bench in JupyterLab
    film      the bench filmed in JupyterLab
    command   the command
"""
