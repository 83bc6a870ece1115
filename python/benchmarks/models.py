"""Where compiled models come from: the compiler, or a folder that was filled on another machine."""

import hashlib
import os
from pathlib import Path
from typing import Optional

from trec.errors import ToolError
from trec.spec import ModelSpec
from trec.torch.build import Target, build


class Models:
    """Compiles for `cpu`; with a folder each model is kept there, and taken from there where it is kept already."""

    def __init__(self, cpu: str, folder: Optional[Path] = None) -> None:
        self._cpu = cpu
        self._folder = folder

    def library_for(self, spec: ModelSpec) -> bytes:
        """The bytes of the `.so`."""
        if self._folder is None:
            return build(spec, Target(self._cpu))
        path = self._folder / f"{self._name_of(spec)}.so"
        if not path.exists():
            self._write(path, spec)
        return path.read_bytes()

    def _name_of(self, spec: ModelSpec) -> str:
        return hashlib.sha256(f"{self._cpu}\n{spec.to_json()}".encode()).hexdigest()[:20]

    def _write(self, path: Path, spec: ModelSpec) -> None:
        try:
            library = build(spec, Target(self._cpu))
        except ToolError as error:
            raise ToolError(f"'{path}' is not there, and {error}") from error
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two runs may write one model at once; both write the same bytes.
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_bytes(library)
        partial.replace(path)
