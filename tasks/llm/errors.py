"""What can go wrong with an endpoint: errors of one request, and those (`fatal`) that all others would meet too."""

from __future__ import annotations

from tasks.errors import BinderyError


class LlmError(BinderyError):
    """A request has no answer. Where it is not `fatal`, the chunk that asked can do without."""

    code = "llm"
    fatal = False


class EndpointError(LlmError):
    """The endpoint cannot be reached or keeps failing, after every attempt that is worth making."""

    code = "endpoint"


class AuthenticationError(LlmError):
    """The endpoint does not accept the key, or not for this."""

    code = "authentication"
    fatal = True


class QuotaError(LlmError):
    """The account has nothing left to spend, or asks to be left alone for hours."""

    code = "quota"
    fatal = True


class NotFoundError(LlmError):
    """The endpoint does not know the model, or is no such endpoint."""

    code = "not_found"
    fatal = True


class RejectedError(LlmError):
    """The endpoint says that this one request is wrong: too long, a picture that it cannot read."""

    code = "rejected"


class DimensionError(LlmError):
    """The endpoint gives vectors of another length than it was asked for."""

    code = "dimension"
    fatal = True


class RefusedError(LlmError):
    """The endpoint's filter let this one request or its answer not pass. (A model's own refusal is a response.)"""

    code = "refused"


class EmptyAnswerError(LlmError):
    """The model said nothing, each time."""

    code = "empty_answer"


class BudgetReachedError(LlmError):
    """The next request could pass --max-spend or --max-tokens; what is answered is kept."""

    code = "budget"
    exit_code = 4
    fatal = True


class BatchError(LlmError):
    """The endpoint has no Batch API, or refuses a whole batch."""

    code = "batch"
    fatal = True


class PendingError(LlmError):
    """The request is in a batch that the endpoint still works on: it is paid for there, and not asked again."""

    code = "pending"
    exit_code = 4
    fatal = True


class StoppedError(LlmError):
    """The run is ending: no further request is sent."""

    code = "stopped"
    fatal = True
