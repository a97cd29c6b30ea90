"""Texts and bytes that others wrote, as values: bounded, never evaluated, mistakes with line and column.

In the order in which to read them; a module imports only from those above it:

    source              where a mistake in a text is, and texts that cannot be read at all
    markup              marks of pages, trackers and forums in a text
    pieces              what people paste, as lines; what a reader takes and gives
    logs                a kernel's log as one text: what is wrapped over lines, times
    ranges              lists of numbers as kernels print them
    xen_lines           lines of Xen's console: its mark, its time, rows that a mailer wrapped
    linux_faults        faults that Linux logs, in all forms
    debugfs_files       the files of Linux's debugfs for interrupts, told apart
    debugfs_irq         interrupts of Linux with their chain
    vector_matrix       which vectors are taken on which CPU; the domains of Linux
    ir_table            interrupt remapping tables that Linux dumps
    regset              registers of the units
    invalidation_queue  descriptors of the units' queues
    dma_table           which functions the units translate
    xen_faults          faults that Xen logs
    proc_interrupts     counts of interrupts on each CPU
    vector_events       what Linux did to its vectors, from ftrace
    linux_boot          what Linux says of units, I/O APICs, processors and modes at boot
    xen_boot            what Xen says of units, I/O APICs and processors at boot
    xen_tables          Xen's key V: remapping tables
    xen_irqs            Xen's keys M, i and z: messages, interrupts, pins
    xen_vpci            Xen's key M: messages of functions that it emulates
    xen_regs            registers of the units, as Xen prints them
    xen_hvm             what Xen prints of a guest's APICs
    qemu_trace          QEMU's trace events of interrupts
    qemu_monitor        QEMU's `info lapic`, `info pic`, `info irq`
    xlu                 the syntax of xl.cfg
    xl_values           its options by key
    xl_keys             the options that xl knows
    xl_viommu           the option viommu in every version's grammar
    xl_rules            what xl refuses or ignores
    xl                  what the options mean
    lspci_bytes         what a PCI function can do, from the bytes of its configuration space
    lspci_forms         where its functions are, from a tree or one fact a line
    lspci               a host's functions
    cpuid               the APIC IDs of a real machine
    acpi_table          tables of firmware as values
    acpi_text           the same in texts: acpidump, iasl, dumps of bytes
    acpi_dmar           the table DMAR: units and what sits behind each
    acpi_madt           the table MADT: processors and I/O APICs
    acpi_hpet           the table HPET: event timers
    acpi_ivrs           the table IVRS: AMD's IOMMUs and what sits behind each
    amd_log             what Linux and Xen log of AMD's IOMMUs
    amd_tables          remapping tables of AMD's IOMMUs
"""
