"""``python -m quarterdeck`` starts the node that SELFSERVICE_TYPE names."""

import sys

from quarterdeck.node import main

if __name__ == "__main__":
    sys.exit(main())
