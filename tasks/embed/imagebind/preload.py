"""What the fork server loads once for workers that decode media for `api`: imported there and nowhere else."""

import os

from tasks.worker import ONE_THREAD

os.environ.update(ONE_THREAD)  # before numpy reads it: with several threads each, workers get in each other's way

import tasks.embed.imagebind.inputs  # noqa: F401
