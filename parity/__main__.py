"""`python -m parity` is the command `parity`."""

import sys

from parity.command.app import main

sys.exit(main())
