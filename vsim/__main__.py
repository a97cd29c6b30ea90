"""`python -m vsim`: the same as the command `vsim`."""

from vsim.cli.entry import main

raise SystemExit(main())
