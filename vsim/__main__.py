"""`python -m vsim`: the same as the command `vsim`."""

from vsim.cli.main import main

raise SystemExit(main())
