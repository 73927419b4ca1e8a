"""python -m benchmarks.llm [--calls N] [--only ours,semaphore,langchain] [--json FILE]

calls → each system in turn against the fake endpoint, at a limit of requests and at one of tokens → a Markdown table
"""

from benchmarks.llm.run import main

if __name__ == "__main__":
    main()
