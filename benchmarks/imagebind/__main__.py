"""python -m benchmarks.imagebind [--device cuda] [--model huge|tiny] [--modalities ...] [--seconds N] [--json FILE]

random weights → ours and the plain way, turn by turn → items/s, memory, agreement as a Markdown table
"""

import os

if __name__ == "__main__":  # decoding processes import this module too, and need nothing else of the benchmark
    # Of numpy, not of torch. Measured: with more, the plain way's decoding is five times slower on a busy machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    from benchmarks.imagebind.run import main

    main()
