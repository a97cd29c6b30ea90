"""An interrupt told: in sentences, by its checks, as a graph, by its ways.

In the order in which to read them; a module imports only from those above it:

    warned     what a machine warns of
    sentences  events as sentences
    wired      the checks on a line to the 8259
    interrupt  what became of one interrupt, and which check decided
    told       one thing told: words by their fields, ways to read it, what ends it
    ends       which check ends a message or an entry, in which states of the unit
    messages   messages and entries told
    amd        things of AMD's IOMMU told
    things     single things by kind: messages, entries, registers
    pasted     rows out of dumps told
    logged     lines of a log told: faults, errors of the queue
    topology   the machine as a networkx graph with positions
    paths      the ways of an interrupt through Xen, counted and costed
"""
