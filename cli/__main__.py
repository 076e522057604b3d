"""``python -m cli`` in a checkout and ``python -m neurofocus.cli`` once installed."""

import sys

from .main import main

if __name__ == "__main__":
    sys.exit(main())
