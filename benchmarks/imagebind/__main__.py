"""python -m benchmarks.imagebind [--device cuda] [--model huge|tiny] [--modalities ...] [--seconds N] [--json FILE]

random weights → ours and the plain way, turn by turn → items/s, memory, agreement as a Markdown table
"""

if __name__ == "__main__":  # decoding processes import this module, and nothing else of the benchmark
    from benchmarks.imagebind.run import main

    main()
