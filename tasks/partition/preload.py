"""What the fork server loads once so that every worker has it: imported there and nowhere else.

Workers also decode media for `embed`: what it needs of that is here by the names of libraries.
"""

import os

from tasks.worker import ONE_THREAD

os.environ.update(ONE_THREAD)  # before numpy and friends read it

import av.subtitles.stream  # noqa: F401
import numpy.fft  # noqa: F401
import PIL.Image
import pyarrow.parquet  # noqa: F401
import pypdfium2  # noqa: F401
import soundfile  # noqa: F401

import tasks.chunk
import tasks.partition.document  # noqa: F401
from tasks import tokens

PIL.Image.init()  # its formats, which it imports when it first looks for one
tokens.encoding()  # a quarter of a second that no worker needs to spend again
