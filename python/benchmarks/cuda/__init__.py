"""trec against FBGEMM's operator on a GPU, on the same rows and ids, and against the gather limit of the card.

    python python/benchmarks --device cuda --models FOLDER --compile-only          # where trec is built
    python python/benchmarks --device cuda --models FOLDER --package FBGEMM --json OUT.jsonl   # on the GPU
"""
