"""Software on a machine, all of whose accesses are commands: a small kernel that does what Linux does with interrupts,
and programs of one's own.

In the order in which to read them; a module imports only from those above it:

    firmware   the 8259 pair in virtual wire mode, before any kernel
    cpu        the accesses of a kernel, and its duties
    ways       where an interrupt can go, and by which message
    iommu      the driver of a remapping unit
    units      all units of a machine, found in the DMAR
    irq        vectors, messages and pins
    kernel     `Guest`: boot, affinity, handlers
    program    x86-64 instructions with their source
    processor  a vCPU that runs them
"""
