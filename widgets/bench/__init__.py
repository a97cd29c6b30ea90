"""`vsim bench --browser`, `--tasks` and `--film`: the live kit measured, used, and filmed.

In the order in which to read them; a module imports only from those above it:

    server    a JupyterLab of its own
    browser   the map on a bare page
    notebook  the bench in JupyterLab
    person    somebody at a page, who counts clicks and scrolls
    tasks     five tasks at the bench
    film      the bench filmed in JupyterLab
    command   the command
"""
