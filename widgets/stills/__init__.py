"""The map on paper: figures and films.

In the order in which to read them; a module imports only from those above it:

    sheet      what every page can
    ink        a page to draw on with matplotlib
    pen        a page to draw on without it, as SVG
    drawn      which of them, and what becomes of it
    captions   the words around a still
    plate      what stands still
    figures    stills
    growth     how near each limit is when a machine grows
    film       films
    film_file  the file of a film
    shots      figure and film of a `Lab`
"""
