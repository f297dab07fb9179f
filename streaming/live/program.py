"""What every stream and batch job is as a program."""

import logging
import sys
from collections.abc import Callable

from pydantic import ValidationError

from streaming.contracts.settings import Settings, sentence

log = logging.getLogger(__name__)


def main(work: Callable[[Settings], object]) -> None:
    """Run `work`, logging to stderr: exit 1 with one sentence after an expected failure."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    for chatty in ("kafka", "py4j"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        work(Settings())
    except ValidationError as error:
        log.error("%s", sentence(error))
        sys.exit(1)
    except (ConnectionError, FileNotFoundError, RuntimeError) as error:
        log.error("%s", error)
        sys.exit(1)
