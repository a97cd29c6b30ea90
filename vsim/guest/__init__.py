"""A small kernel that does what Linux does with interrupts; all that it does is commands.

In the order in which to read them; a module imports only from those above it:

    cpu     the accesses of a kernel, and its duties
    ways    where an interrupt can go, and by which message
    iommu   the driver of a remapping unit
    units   all units of a machine, found in the DMAR
    irq     vectors, messages and pins
    kernel  `Guest`: boot, affinity, handlers
"""
