"""`python -m vsim`: the same as the command `vsim`."""

from vsim.cli import main

raise SystemExit(main())
