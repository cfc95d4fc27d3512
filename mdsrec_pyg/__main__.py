"""``python -m mdsrec_pyg``: the same as the command ``mdsrec``."""

import sys

from mdsrec_pyg.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
