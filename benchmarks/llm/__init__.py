"""Many calls to an endpoint with limits and faults: ours beside the openai client and LangChain."""
