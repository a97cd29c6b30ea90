"""What people paste, put together: pieces recognised, the machine that they show, and what does not fit in it.

In the order in which to read them; a module imports only from those above it:

    registry     which texts are recognised, and who reads them
    paste        files and texts, taken apart into pieces
    picture      the machine that the pieces show
    rows         what a cross-check is, and a finding
    chain        cross-checks: device, message, entry, processor
    host         cross-checks: units, processors, I/O APICs
    vmsi         cross-checks: messages of functions that Xen emulates for a domain
    traffic      cross-checks: faults, vectors, interrupts that nobody ends
    catalogue    all of them, on a paste
    tell         for people, and as JSON values
    assumed      what no text says of a rebuilt machine, by element
    pins         redirection entries as Xen and QEMU print them
    chips        its I/O APICs and its HPET
    rebuild      a machine from what was dumped, and a fault line sent again
    compare      two pastes, aligned by what they mean
    clean        texts without what names people and machines
    subject      what a dump of a machine is made of
    past         what only a machine's past knows: interrupts taken, faults read
    dump_units   Linux's dumps of the remapping units: tables, registers
    dump_linux   Linux's /proc/interrupts
    dump_debugfs  Linux's debugfs irq
    dump_faults  what Linux and Xen log of faults
    dump_qemu    QEMU's info lapic, info pic
    dump_xen     Xen's debug key V
    dump_xen_irqs  Xen's debug keys M, i, z
    dumps        what real tools would print of a machine, all kinds by name
"""
