"""Many cases at once: reach and cost over a grid, sizes, races.

In the order in which to read them; a module imports only from those above it:

    reach   every device to every vCPU of a domain
    grid    a sweep as data: axes and cells
    cell    one cell, run
    run     `sweep`: cells on many processes
    races   a change, and a device that fires between its writes
    limits  what bites first when a machine grows
    rows    the output, which an interrupted sweep goes on with
"""
