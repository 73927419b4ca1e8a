"""The batch lane: the same requests through an endpoint's Batch API, for half the price and within a day.

    lane = Lane(...)
    lane.collect()                   # what earlier runs have submitted, as far as it is done
    lane.put(request, owner) ...     # into files, each submitted as it is full
    lane.flush()
    lane.wait(seconds)               # answers into the responses store, costs into the ledger

`store` knows what is where, `files` writes requests, `api` speaks with the endpoint, `collect` reads what comes back.
"""
