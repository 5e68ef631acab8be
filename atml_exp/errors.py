"""What a user can put right: shown as one message, without a traceback, exit code 2."""

__all__ = ["ConfigError", "RunBusyError"]


class ConfigError(ValueError):
    """A configuration that can't run; the message names the key, the value and what is allowed."""


class RunBusyError(RuntimeError):
    """Another process is training this very run."""
