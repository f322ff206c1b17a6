"""The two ways a run stops that are not bugs of the suite."""


class UserError(ValueError):
    """Input the user can mend: the message is one line naming the culprit and what is allowed.

    The command line prints the message without a traceback and exits with code 2.
    """


class CellError(RuntimeError):
    """A training cell whose numbers must not be reported (NaN loss, no learning signal, ...).

    The cell is recorded as failed, with this message as its reason, and exits with code 1.
    """
