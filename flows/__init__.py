"""The DAGs and the command. A flow body reads as the diagram of the pipeline and holds no logic."""

import os

import tasks  # noqa: F401  (fixes the environment first: no telemetry, no hub)

# On a busy machine Prefect's embedded server needs longer than its default 20 s, and prints traces as it ends.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")
