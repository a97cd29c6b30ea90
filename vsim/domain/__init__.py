"""The tool stack: a machine from a configuration and a host, with its tables and its links to host units.

In the order in which to read them; a module imports only from those above it:

    platform       what a guest finds out about its machine
    acpi           the tables DMAR and MADT of a machine
    buses          where a domain's functions sit
    host_features  in what units can differ
    host_answers   how a host's units could be linked to a guest's
    host           a host's units and what is behind each
    host_policies  the links, tried
    builder        `build`: the machine of a configuration
    posting        a host's CPUs and vCPUs: the processor's side of posting
    stage          a small domain of the series to try things on
"""
