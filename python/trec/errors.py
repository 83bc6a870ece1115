"""The exceptions of trec: one root, one class for each thing that a caller may want to handle apart.

The classes for bad inputs derive from ValueError as well, because that is what TorchRec raises in their place.
"""

from typing import Optional


class TrecError(RuntimeError):
    """Root of all errors that trec raises.

    `feature` and `table` are names, the others are numbers; each is None where it does not apply.
    """

    feature: Optional[str] = None
    table: Optional[str] = None
    sample: Optional[int] = None
    position: Optional[int] = None
    value: Optional[int] = None
    limit: Optional[int] = None


class ExportError(TrecError):
    """A module that trec does not compile, with the reason and the remedy."""


class QuantizeError(TrecError, ValueError):
    """Values that the chosen row-wise format cannot hold."""


class ToolError(TrecError):
    """A tool of trec is not where the package looks for it."""


class CompileError(TrecError):
    """A tool of trec refused its input; the text is the tool's own."""


class LoadError(TrecError):
    """A file that is not a compiled model, or one of another version."""


class WeightsError(TrecError):
    """Weights that are missing, malformed or not those of the model."""


class UnsupportedCPUError(LoadError):
    """The machine lacks the instructions that the model was compiled for."""


class UnsupportedGPUError(LoadError):
    """No driver, no such GPU, or a model without code for it."""


class InputError(TrecError, ValueError):
    """A batch that the model cannot take."""


class OutOfBoundsError(InputError, IndexError):
    """An id outside its table, under the policies `fatal` and `none`."""
