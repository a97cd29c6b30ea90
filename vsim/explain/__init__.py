"""An interrupt told: in sentences, by its checks, as a graph, by its ways.

In the order in which to read them; a module imports only from those above it:

    sentences  events as sentences
    interrupt  what became of one interrupt, and which check decided
    topology   the machine as a networkx graph with positions
    paths      the ways of an interrupt through Xen, counted and costed
"""
