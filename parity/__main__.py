"""`python -m parity` is the command `parity`."""

import sys

from parity.command import main

sys.exit(main())
