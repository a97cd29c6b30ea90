"""Recordings of other implementations, and of real systems, run on the machine and compared.

In the order in which to read them; a module imports only from those above it:

    cases        files of recorded cases
    recorded     a case of QEMU as commands
    compare_xen  cases of the series' own code
    compare      cases run and compared
    recording    files of a whole run of a real system
    functions    the PCI functions of the machine that it ran on
    taken        vectors that vCPUs took, explained
    rerun        a whole run done again, and compared
    judged       what the checker finds in real drivers, judged
    guard        a script: no process outlives the one that wanted it
    qemu         QEMU as a child process
    senders      devices of QEMU that send any message
    traces       QEMU's trace lines as observations
    monitor      the local APICs of a QEMU, as its monitor tells them
    qtest        a QEMU that is driven from here
    there        a command in the terms of QEMU's machine
    sources      a QEMU that runs, or a run that was stored
    deviations   which of them explain a difference
    beside       a live QEMU beside a machine
    trace_rows   QEMU's trace as the rows of a recording
    inferred     what a guest wrote to memory, where nothing tells
    taps         the plugin that tells it
    initramfs    the guest: a kernel, and a file system in memory
    keys         Xen's debug keys, typed on its console
    boot         a kernel booted in QEMU, its trace read as it runs
"""
