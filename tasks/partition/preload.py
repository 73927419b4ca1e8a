"""What the fork server loads once so that every worker has it: imported there and nowhere else."""

import os

from tasks.worker import ONE_THREAD

os.environ.update(ONE_THREAD)  # before numpy and friends read it

import numpy  # noqa: F401
import PIL.Image  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pypdfium2  # noqa: F401

import tasks.chunk
import tasks.partition.document  # noqa: F401
from tasks import tokens

tokens.encoding()  # a quarter of a second that no worker needs to spend again
