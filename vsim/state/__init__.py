"""What a machine is, and what can be done to it: values without behaviour.

In the order in which to read them; a module imports only from those above it:

    commands      what software, devices and the tool stack can do
    trace         events: what came of it
    quirks        what a defect is
    xen_quirks    the numbered defects of the series
    profile       capabilities, options and quirks of a machine, by name
    ram           guest memory in copied-on-write pages
    pci_function  one PCI function: its configuration space and capabilities
    pci           functions on buses: bridges, requester ids, INTx routing
    arrays        `Machine`: all of it as flat arrays
"""
