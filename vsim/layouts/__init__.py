"""Bits declared once: everything that is read or written is laid out here, and nowhere else.

In the order in which to read them; a module imports only from those above it:

    given       what a caller gives, looked at first
    bits        `Field` and `Layout`: how a word is declared, read, written, checked and shown
    formats     what travels and lies in memory: messages, table entries, descriptors, fault records
    registers   the registers of the remapping unit, of the APICs and of PCI capabilities
    amd         AMD's IOMMU: remapping entries, events, features
    interfaces  the hypercall of every version of the series: structures, numbers, order of the checks
"""
