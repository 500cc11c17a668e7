"""The one exception that a command line turns into one line and exit code 2."""


class UserError(Exception):
    """Something the user can mend; the message names the thing, the value and the remedy."""
