"""Bits by hand: layouts, the remapping table, the register page, the hypercall, a vLAPIC, the guest.

In the order in which to read them; a module imports only from those above it:

    strip      the bits of a word, drawn
    fields     an editor for any layout
    entries    entries of the table for people
    beliefs    what the guest believes of its interrupts
    foresee    what commands would do
    faults     recorded ones, also when they were read
    registers  the trapped page
    irt        the remapping table
    octets     the bytes of a structure, drawn
    hypercall  its structure as text, and what will be answered
    domctl     the hypercall by hand
    wires      the pins of a local APIC, the pair of 8259
    vlapics    one local APIC
    guests     what the small guest sees
    targets    vCPUs to which interrupts are posted
    others     any command, and the registers that no other editor has
"""
