"""The one exception that a command line turns into one line and exit code 2."""


class UserError(Exception):
    """Something the user can mend; the message names the thing, the value and the remedy.

    A field that the caller chose stands in backticks, its value behind it, and so does a console command:

        `data_root` /x is not a folder; name the one with the features
        manifest.json is missing; prepare it first (`iemf prepare crema-d`)

    What is in backticks and a single name is a field; a command line shows it as its option, data_root with two dashes.
    """


class Diverged(UserError):
    """A loss that is no finite number: this run cannot go on, another with a lower rate can."""
