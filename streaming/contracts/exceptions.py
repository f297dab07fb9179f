"""The one exception of the stack: a sentence for a person."""


class StackError(Exception):
    """What went wrong, with which thing, and what to do about it, in one sentence."""
