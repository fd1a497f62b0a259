"""Errors that a user can cause. Each message is one sentence: what is wrong, where, what to try."""


class PwmError(Exception):
    """Base of every error that pwm raises for its user; the command line prints it without a traceback."""


class UnknownName(PwmError):
    """A method, modality, scene, setting or parameter of that name does not exist."""


class PluginError(PwmError):
    """A plugin cannot be loaded or broke its contract."""


class Unsuitable(PwmError):
    """A method and a problem that cannot go together."""


class BadFile(PwmError):
    """A file is malformed, incomplete or not of the kind that was expected."""


class BadValue(PwmError, ValueError):
    """A value is of the wrong type, out of its range or without its unit."""
