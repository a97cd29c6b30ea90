"""Recordings of other implementations, and of real systems, run on the machine and compared.

In the order in which to read them; a module imports only from those above it:

    cases        files of recorded cases
    recorded     a case of QEMU as commands
    compare_xen  cases of the series' own code
    compare      cases run and compared
    recording    files of a whole run of a real system
    taken        vectors that vCPUs took, explained
    rerun        a whole run done again, and compared
"""
