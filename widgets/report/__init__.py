"""The design review of a domain, with running evidence, in one file.

In the order in which to read them; a module imports only from those above it:

    paper     the parts of a document, as data
    page      a document as HTML
    markdown  a document as Markdown
    conduct   the guest's conduct
    domain    one domain
    host      several host units
    run       its interrupts
    series    the series
    dumped    dumps and logs of a machine
    command   `vsim report`
"""
