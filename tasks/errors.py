"""The errors bindery raises on purpose: few, named, each with a code, a message and a next step."""

from __future__ import annotations


class BinderyError(Exception):
    """A fatal error of a command or flow.

    `code` is stable and machine-readable, `message` says what happened and to what, `hint` says what to do next.
    `exit_code` is what the `bindery` command ends with (1 fatal, 2 usage, 4 budget, 5 busy, 6 gate).
    """

    code = "fatal"
    exit_code = 1

    def __init__(self, message: str, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class UsageError(BinderyError):
    """The request itself is wrong: an unknown option value, an empty query."""

    code = "usage"
    exit_code = 2


class SourceRootError(BinderyError):
    """A SOURCE root is missing or cannot be listed; nothing was changed."""

    code = "source_root"


class MassDeleteError(BinderyError):
    """The plan would remove more of a root than is believable without the user saying so."""

    code = "mass_delete"


class LakeError(BinderyError):
    """The lake is missing, of another format, or not readable."""

    code = "lake"


class LakeBusyError(BinderyError):
    """Another writer holds the lake's lease."""

    code = "lake_busy"
    exit_code = 5


class ModelError(BinderyError):
    """A model or its device stopped working: no document is to blame, and the run ends."""

    code = "model_failed"


class MissingCapabilityError(BinderyError):
    """A model or package that the settings ask for is not installed or fails its checksum."""

    code = "missing_capability"


class DocumentError(Exception):
    """One document cannot be processed: it goes to quarantine with this code, message and hint; the run goes on."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)  # all three, so that it survives pickling between processes
        self.code = code
        self.message = message
        self.hint = hint

    @property
    def transient(self) -> bool:
        """Whether the document is not to blame: another attempt may succeed with nothing changed."""
        return self.code in TRANSIENT

    def __str__(self) -> str:
        return self.message


TRANSIENT = frozenset(
    {"changing", "changed_while_reading", "unreadable", "no_member", "worker_lost", "lake_full", "endpoint_failed"}
)
