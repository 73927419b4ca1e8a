"""Evaluate: questions with known pages and a release in, how well retrieval finds those pages out.

    questions ─► retrieve each ─► ranked documents and pages ─► hit@k, recall@k, MRR, nDCG, with intervals ─► Evaluation

Nothing but what the question says enters the search: the gold is looked at afterwards.
"""
