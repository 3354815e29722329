"""The one exception for input that a person can fix: bad files, keys, options and data."""


class InputError(Exception):
    """Bad input, described in one line: the file or key, what was found, what was expected, what to do.

    The command line prints the message and exits with 2; nothing is lost and no traceback is shown.
    """


class WeightsMissingError(InputError):
    """Pretrained weights that a recipe starts from are not on this machine (``not run: weights``)."""


class DiskError(InputError):
    """A file cannot be written: a full disk, a quota, no permission. The old content is unchanged."""
