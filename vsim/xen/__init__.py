"""The same parts as the series of 2017 coded them, beside the specification's: the machine option `model` chooses.

In the order in which to read them; a module imports only from those above it:

    models  the versions as data
    faults  their fault records
    queue   their invalidation queue
    vvtd    their register page
    paths   their hooks in vMSI, vIOAPIC and passthrough
    bind    messages of passed-through devices, bound and posted
    save    their save records
"""
