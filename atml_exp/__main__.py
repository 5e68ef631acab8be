"""`python -m atml_exp` is `atml-exp`."""

import sys

from atml_exp.cli import main

if __name__ == "__main__":
    sys.exit(main())
