"""trec against FBGEMM, TorchRec and ATen on the same rows and ids, and against what the memory allows.

`python python/benchmarks --help` says how to run it; python/README.md how to read what comes out.
"""
