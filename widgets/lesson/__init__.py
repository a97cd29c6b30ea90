"""What a notebook's cell does in a line: one interrupt sent and shown, one entry edited.

In the order in which to read them; a module imports only from those above it:

    journey  one interrupt at a time
    made     a machine made of functions, with numbers of its own
    names    one whose numbers are scrambled on purpose
    wire     a pin, the devices on it and a vCPU, moved by hand
    apic     a local APIC by hand, and dumps of one
    group    one message for several vCPUs
    senders  a machine with bridges and many kinds of senders
    chooser  device, message and vCPU by controls
    sizes    limits, rates, sweeps and races as tables
    edit     an entry in a line of Python
"""
