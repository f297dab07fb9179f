"""While an image is built: get the named parts, `python -m stack.docker.image "spark JARs"`."""

import sys

from stack.setup import steps
from streaming.contracts.settings import Settings


def main() -> None:
    """Get every part that is named; end with status 1 when a name is unknown."""
    known = {step.title: step for step in steps(Settings())}
    unknown = [title for title in sys.argv[1:] if title not in known]
    if unknown:
        raise SystemExit(f"no part is called {unknown}; there are {list(known)}")
    for title in sys.argv[1:]:
        if known[title].missing():
            known[title].run()


if __name__ == "__main__":
    main()
