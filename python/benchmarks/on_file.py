"""A model of a workload on a weights file, as one that is served has it."""

import tempfile
from pathlib import Path

from benchmarks.workload import Workload
from trec.library import Handle, Options, Weights
from trec.weights_file import write_weights


def handle_on_file(workload: Workload, options: Options) -> Handle:
    """The file has no name any more when this returns; its space is given back with the model."""
    library = workload.compiled._handle(options.threads).library
    with tempfile.TemporaryDirectory(prefix="trec-benchmark-") as directory:
        path = Path(directory) / "model.safetensors"
        write_weights(path, workload.tensors)
        return Handle(library, Weights(path=str(path)), options)
