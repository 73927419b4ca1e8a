"""Imported by fork servers of the tests, so that each child starts with the stages' libraries loaded."""

import tasks.index.publish
import tasks.partition.document
import tasks.shards  # noqa: F401
