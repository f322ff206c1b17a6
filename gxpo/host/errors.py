"""The ways a run stops that are not bugs of the suite."""


class UserError(ValueError):
    """Input the user can mend: the message is one line naming the culprit and what is allowed.

    The command line prints the message without a traceback and exits with code 2.
    """


class NotTrained(UserError):  # noqa: N818 (nothing went wrong)
    """A cell is to be evaluated that has not been trained: it has not failed."""


class CellError(RuntimeError):
    """A training cell whose numbers must not be reported (NaN loss, no learning signal, ...).

    The cell is recorded as failed, with this message as its reason, and exits with code 1.
    """


class Interrupted(Exception):  # noqa: N818 (nothing went wrong)
    """A signal asked a training process to stop, and all it has done is in a checkpoint.

    Nothing failed: the command line prints the message and exits with code 75 (EX_TEMPFAIL), and
    the same command continues.
    """


class Busy(Exception):  # noqa: N818 (nothing went wrong)
    """Another process works on the cell, or the results: the message, one line, says which.

    The command line prints it and exits with code 75 (EX_TEMPFAIL), leaving the cell as it is.
    """
