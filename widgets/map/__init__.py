"""The live map: a scene, tokens that travel in it, and the page that shows both.

In the order in which to read them; a module imports only from those above it:

    tokens   events folded into tokens
    arrange  where everything stands
    scene    the picture of a machine as data
    tally    what was counted
    page     the map as one HTML file
    live     `LiveMap`, and `Map` of a Lab
"""
