"""The kit on a page: a folder that any web server serves, with the notebooks, the bench, and a Python of its own.

    vsim site DIR           # JupyterLite with the notebooks, and the plain page
    vsim site --bench DIR   # the plain page alone

In the order in which to read them; a module imports only from those above it:

    needs      what is taken from the registries, by name and version
    gather     taking it
    kit        our own packages as an archive
    plain      the page with the bench alone
    lite       JupyterLite with the notebooks
    command    `vsim site`

`page/` has the parts of the plain page.
"""
