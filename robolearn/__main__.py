"""`python -m robolearn` is the command `robolearn`."""

import sys

from robolearn.cli import main

if __name__ == "__main__":
    sys.exit(main())
