"""The plan: what a run would do, told from stats and published rows without reading unchanged files.

`scan` says what each source holds now, `decide` compares that with what is published, `settle` says, once the stages
have run, what the next release holds and what is in quarantine.
"""

from tasks.plan.decide import make_plan
from tasks.plan.model import MARKS, Plan, PlannedSource, PlanOptions, Published, Status
from tasks.plan.settle import Settled, settle, update_quarantine

__all__ = [
    "MARKS",
    "Plan",
    "PlanOptions",
    "PlannedSource",
    "Published",
    "Settled",
    "Status",
    "make_plan",
    "settle",
    "update_quarantine",
]
