"""The stages of bindery and what they share: plain functions first, Prefect last.

Importing this package fixes the process environment before any library reads it: bindery talks to no host
that the user did not configure, so telemetry and hub look-ups of our dependencies are off unless the user
has set these variables differently.
"""

import os

_QUIET = {
    "DO_NOT_TRACK": "1",
    "SCARF_NO_ANALYTICS": "true",
    "UNSTRUCTURED_DISABLE_NOTICE": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "HF_HUB_OFFLINE": "1",
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime reports to its maker otherwise, whatever DO_NOT_TRACK says
    "TOKENIZERS_PARALLELISM": "false",
}
for _name, _value in _QUIET.items():
    os.environ.setdefault(_name, _value)
