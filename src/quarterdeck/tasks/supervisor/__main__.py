"""The supervisor's program: ``python -I -S …/supervisor FOLDER``; ends at once when there is one already."""

import os
import sys


def main() -> None:
    """Serve until nothing is left to do."""
    # Behind the standard library, which nothing that is installed beside Quarterdeck may shadow.
    sys.path.append(os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "..")))  # noqa: PTH100, PTH118, PTH120 - pathlib would cost 1 MB
    from quarterdeck.tasks.supervisor.serving import serve

    serve(sys.argv[1])


if __name__ == "__main__":
    main()
