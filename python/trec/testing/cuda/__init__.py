"""Tests of compiled models on a GPU, for a machine that may be unable to build trec.

    python -m trec.testing.cuda prepare FOLDER      # where trec is built; needs no GPU
    python -m trec.testing.cuda run FOLDER          # on a machine with a GPU, numpy and torch; FBGEMM if it is there

`prepare` draws random models and compiles them; `run` makes their rows and batches from the same seeds, and compares
every bit with FBGEMM's own operator on the GPU where that can do the same, and with the contract in numpy.
"""
