"""vsim: a bit-exact simulator of interrupt remapping as a guest of Xen's virtual IOMMU meets it.

A machine is a value, a command is something that software or hardware does to it, and
`vsim.machine.step` turns both into events. Importing the package loads nothing else: each
module is imported by name (`from vsim import formats`), lowest level first as README.md lists them.
"""

__version__ = "0.1.0"
