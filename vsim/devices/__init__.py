"""The parts that an interrupt passes, as the specifications have them.

File names are Xen's where Xen has such a file, so that the two can be read side by side.

In the order in which to read them; a module imports only from those above it:

    checks       the checks of a request, as data
    chain        the same as generated code
    remap        a request and the verdict on it
    msi          MSI and MSI-X of a function
    hpet         timers that send messages
    vioapic      the I/O APIC
    crowd        many local APICs at once
    vpic         the pair of 8259 interrupt controllers
    routes       which local APICs a destination names
    vlapic       local APICs: accept, take, end
    lint         the pins of a local APIC, and ExtINT
    posted       vCPUs of a host, to which interrupts are posted
    timer        the local APIC's timer
    vlapic_regs  local APICs as software sees them: registers, modes, IPIs
    faults       fault records and fault events
    dma          what becomes of a DMA request
    queue        the invalidation queue and the interrupt entry cache
    flush        invalidation by registers
    vvtd         the trapped register page
    viommu       the hypercall that creates, destroys and queries a unit
"""
