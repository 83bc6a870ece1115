"""What compiled collections of every kind have in common: rows, threads, copies and the state_dict.

A compiled module reads the rows where the original module keeps them. So `load_state_dict` and edits in place take
effect with the next call, and no weights are copied.
"""

import copy
import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Optional

import torch
from torchrec.fx import symbolic_trace
from torchrec.types import ModuleNoCopyMixin

from trec import abi
from trec.errors import TrecError
from trec.library import CallBuffer, Handle, Library, Options, Weights, library_from_bytes
from trec.spec import ModelSpec
from trec.torch.bags import make_bags, pack_rows, rows_of_tbes, unpack_rows
from trec.torch.batch import Batch, BatchReader
from trec.torch.collect import OUTPUT_DTYPES
from trec.torch.extension import CALL_PATH, PlainCall, call_nothing, make_caller
from trec.torch.place import CPU, Place, current_stream

_ARGS_SIZE = abi.FORWARD_ARGS.size
_pack = abi.FORWARD_ARGS.pack
# What belongs to this process and place.
_NOT_CARRIED = ("_runtime", "_binding", "_own_buffers")
# Attributes of a module that was traced as a root: the library as a tensor, and the tracer's names for tensors.
TRACED = ("_library_tensor", "_tensor_constant")
_new = object.__new__
_get_num_threads = torch.get_num_threads


@dataclass
class Interface:
    """What the module that is stood for says about itself, beyond its rows."""

    spec: ModelSpec
    configs: list[Any]
    is_split: bool = False
    row_alignment: int = 16
    need_indices: bool = False
    # One of TorchRec's names; None: that of what the outputs hold.
    output_dtype: Optional[torch.dtype] = None
    marks: dict[str, Any] = field(default_factory=dict)


@dataclass
class Parts:
    """All that a compiled module is made of."""

    so: bytes
    interface: Interface
    rows: dict[str, torch.Tensor]
    # Modules of the original that stay in Python, by the names that they have there.
    children: dict[str, torch.nn.Module] = field(default_factory=dict)
    maps: dict[str, torch.Tensor] = field(default_factory=dict)
    # FBGEMM's modules, where the original has them for children. The rows are views of their memory.
    tbes: list[torch.nn.Module] = field(default_factory=list)
    # Where all of these lie.
    place: Place = CPU


@dataclass(slots=True)
class _Runtime:
    """What belongs to this process and is made anew for a copy: all that a call needs, in one place."""

    library: Library
    reader: BatchReader
    place: Place
    # What an output's attributes are but for its tensors.
    output: dict[str, Any]
    forward: Callable[[int, bytes, int], int] = field(init=False)
    call: CallBuffer = field(init=False)
    device: torch.device = field(init=False)
    # Gives the result for a plain batch, and None for any other.
    caller: Callable[[Any], Any] = call_nothing
    handles: dict[int, Handle] = field(default_factory=dict)
    addresses: dict[str, int] = field(default_factory=dict)
    parameters: list[torch.Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.forward, self.call = self.library.api.forward, CallBuffer(self.library.num_outputs)
        self.device = self.place.device


class Served:
    """What every module on a loaded library answers; `_runtime` has the library and its handles."""

    _runtime: Any
    _output_dtype: torch.dtype
    # Rows are the caller's to edit, so that nothing is certified before he asks for it.
    _exactness = "auto"
    _place: Place

    def output_dtype(self) -> torch.dtype:
        return self._output_dtype

    @property
    def device(self) -> torch.device:
        return self._place.device

    @property
    def cpu_level(self) -> Optional[str]:
        """The set of instructions in use, such as "x86-64-v3"; None on a GPU."""
        return next(iter(self._runtime.handles.values())).cpu_level

    @property
    def call_path(self) -> str:
        """"extension" where C code calls the model for plain batches; else "python: " and why."""
        reason = self._why_python()
        return CALL_PATH if reason is None else f"python: {reason}"

    def _why_python(self) -> Optional[str]:
        """Why the extension is not used, where that is for the module itself."""
        return None

    @property
    def info(self) -> dict[str, Any]:
        """The compiled model's metadata."""
        return self._runtime.library.metadata

    @property
    def placement(self) -> dict[str, str]:
        """By table "host" or "device": where its rows are for the device that reads them."""
        return {name: "host" if rows.is_cpu else "device" for name, rows in self._rows.items()}

    @property
    def certified_lengths(self) -> dict[str, int]:
        """By table the longest bag whose sum is exact in float32, which is added by faster arithmetic; 0: none."""
        return next(iter(self._runtime.handles.values())).certified_lengths()

    def check_exactness(self) -> None:
        """Looks for exact sums in the rows as they now are.

        A promise to call this again after rows were edited in place; `load_state_dict` does so by itself.
        """
        self._exactness = "check"
        for handle in self._runtime.handles.values():
            handle.check_exactness()

    def counters(self) -> dict[str, int]:
        """Calls and bad ids since the module was made or its rows moved; children count their own."""
        all_counters = [handle.counters() for handle in self._runtime.handles.values()]
        return {name: sum(counters[name] for counters in all_counters) for name in ("forwards", "bad_ids", "failed")}


    def poll(self) -> None:
        """On a GPU: raises, or warns of, what was wrong in earlier calls and was not said by a later one.

        Never waits; to know of all calls, synchronize with their streams first.
        """
        for handle in self._runtime.handles.values():
            handle.poll()


class CompiledCollection(Served, ModuleNoCopyMixin):
    """A mixin for an nn.Module; the classes derived from it are drop-ins for those of torchrec.quant."""

    _rows_name: ClassVar[str]
    _is_weighted = False

    @classmethod
    def of_parts(cls, parts: Parts) -> Any:
        result = cls.__new__(cls)
        result._set_up(parts)
        return result

    def _set_up(self, parts: Parts) -> None:
        torch.nn.Module.__init__(self)  # type: ignore[arg-type]
        spec = parts.interface.spec
        self._so = parts.so
        self._interface = parts.interface
        self._rows = parts.rows
        self._maps = parts.maps
        self._place = parts.place
        self._values_dtype = OUTPUT_DTYPES[spec.output_dtype]
        self._output_dtype = parts.interface.output_dtype or self._values_dtype
        self._embedding_names = [output.key for output in spec.outputs]
        self._feature_names = [output.feature for output in spec.outputs]
        dims = {table.name: table.output_dim(spec.output_dtype) for table in spec.tables}
        self._length_per_key = [dims[output.table] for output in spec.outputs]
        self.row_alignment = parts.interface.row_alignment
        self.register_tbes = bool(parts.tbes)
        self.__dict__.update(parts.interface.marks)
        # Both torch.fx's and torchrec.fx's tracers take a module of a torch.nn file for a leaf, and have no other mark
        # that a module can set for itself. Pickle looks at the class, which keeps its real file.
        self.__dict__["__module__"] = "torch.nn.modules.trec"
        self.register_load_state_dict_post_hook(_after_load_state_dict)
        self._kept = list(parts.children)
        if self.register_tbes:
            self.tbes = torch.nn.ModuleList(parts.tbes)
        for name, child in parts.children.items():
            self.add_module(name, child)
        self._attach()

    def _attach(self, library: Optional[Library] = None) -> None:
        """Makes everything that is not carried by a copy: buffers, and what runs the model."""
        self._rows = self._place.put_again(self._rows)
        # Children come in the original's order.
        bags = make_bags(self._interface.spec.tables, self._rows, self._interface.is_split)
        carried = {name: child for name, child in self._modules.items() if name != self._rows_name}
        self._modules.clear()
        self._modules.update({self._rows_name: bags, **carried})
        self._own_buffers = {name: dict(bag._buffers) for name, bag in bags.items()}
        library = library or library_from_bytes(self._so)
        reader = BatchReader(library.features, self._is_weighted, self._feature_names, self._place)
        self._runtime = _Runtime(library, reader, self._place, self._output_template())
        self._runtime.caller = self._make_caller()
        self._bind()

    def _output_template(self) -> dict[str, Any]:
        return {}

    def _plain_call(self) -> dict[str, Any]:
        """Those fields of a PlainCall that differ between kinds of collections."""
        raise NotImplementedError

    def _make_caller(self) -> Callable[[Any], Any]:
        if self._why_python() is not None:
            return call_nothing
        runtime = self._runtime
        call = PlainCall(
            forward=ctypes.cast(runtime.forward, ctypes.c_void_p).value or 0,
            handles=runtime.handles,
            reader=runtime.reader,
            place=self._place,
            is_weighted=self._is_weighted,
            output_dtype=self._values_dtype,
            template=runtime.output,
            fail=runtime.library.fail,
            **self._plain_call(),
        )
        return make_caller(call)

    def _parameters_to_bind(self) -> list[torch.Tensor]:
        """What the model reads beside its rows, in the library's order."""
        return [self._maps[parameter["name"]] for parameter in self._runtime.library.parameters]

    def tensor_of(self, name: str) -> torch.Tensor:
        """The memory of a table or of a parameter of the model."""
        names = [parameter["name"] for parameter in self._runtime.library.parameters]
        return self._runtime.parameters[names.index(name)] if name in names else self._rows[name]

    def _bind(self) -> None:
        """Points the model at the rows and maps; again where their memory has moved."""
        addresses = {name: tensor.data_ptr() for name, tensor in (self._rows | self._maps).items()}
        if addresses != self._runtime.addresses:
            self._unbind()
            self._runtime.addresses.update(addresses)
        self._bind_parameters(self._parameters_to_bind())
        self._handle(self._place.threads())

    def check_exactness(self) -> None:
        super().check_exactness()
        # What else reads these rows has to look at them again too.
        self._binding = object()

    def _unbind(self) -> None:
        self._runtime.handles.clear()
        # What else reads these rows tells by this that they have moved.
        self._binding = object()

    def _bind_parameters(self, parameters: Sequence[torch.Tensor]) -> None:
        bound = self._runtime.parameters
        if [tensor.data_ptr() for tensor in parameters] != [tensor.data_ptr() for tensor in bound]:
            self._unbind()
            # Kept, so that no other memory can come to lie where a handle still points.
            bound[:] = parameters

    def _handle(self, threads: int) -> Handle:
        handle = self._create(self._place.options(self._exactness))
        return self._runtime.handles.setdefault(threads, handle)

    def _create(self, options: Options) -> Handle:
        """A model on the rows and maps as they are bound."""
        runtime = self._runtime
        names = [table["name"] for table in runtime.library.tables]
        tables = [(runtime.addresses[name], self._rows[name].shape[0]) for name in names]
        parameters = [(tensor.data_ptr(), tensor.shape[0]) for tensor in runtime.parameters]
        weights = Weights(tables=tables, parameters=parameters, on_device=self._place.gpu is not None)
        return Handle(runtime.library, weights, options)

    def _run(self, batch: Batch, output: int, output_bytes: int, outputs: tuple[int, int] = (0, 0)) -> None:
        """Calls the model; `outputs` are the addresses of two arrays, of addresses and of sizes."""
        runtime = self._runtime
        gpu = runtime.place.gpu
        threads = _get_num_threads() if gpu is None else 1
        handle = runtime.handles.get(threads) or self._handle(threads)
        call, keys = runtime.call, batch.keys
        # Must not be given back before the launch.
        workspace = runtime.place.workspace(batch) if batch.lengths and gpu is not None else None
        room = (0, 0) if workspace is None else (workspace.data_ptr(), workspace.nbytes)
        args = _pack(
            _ARGS_SIZE, batch.size, keys.count, keys.address, batch.values, batch.num_values, batch.lengths,
            batch.offsets, batch.weights, batch.num_weights, output, output_bytes, 0, room[0], room[1],
            batch.values_type, batch.lengths_type, batch.offsets_type, 0, outputs[0], outputs[1], 0, 0,
            0 if gpu is None else current_stream(gpu),
        )  # fmt: skip
        status = runtime.forward(handle.address, args, call.error_address)
        if status:
            raise runtime.library.exception(status, call.error)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Rows and maps stay as they are, as torchrec.quant's; only a move into shared memory changes where they lie.

        `fn` sees the rows and not their views: torch cannot share the wrappers of 4 and 2 bit codes.
        """
        # Rows that a GPU reads on the host stay there.
        tensors = [tensor for tensor in (self._rows | self._maps).values() if self._place.has(tensor)]
        devices = {fn(tensor).device.type for tensor in tensors or [torch.empty(0, device=self._place.device)]}
        if devices - {self._place.device.type}:
            where = "the CPU" if self._place.gpu is None else str(self._place)
            raise TrecError(f"the module is compiled for {where}, it cannot be moved to {', '.join(sorted(devices))}")
        for name in self._kept if recurse else ():
            self._modules[name]._apply(fn)
        self._bind()
        return self

    def _restore_buffers(self) -> None:
        """Copies tensors that have taken the place of the rows' views into the rows, and puts the views back."""
        for table, bag in self._modules[self._rows_name].items():
            for name, own in self._own_buffers[table].items():
                current = bag._buffers.get(name)
                if current is not own and own is not None and current is not None:
                    own.copy_(current)
                bag._buffers[name] = own

    def _carried(self) -> dict[str, Any]:
        """The attributes that a copy takes along."""
        state = dict(self.__dict__)
        for name in _NOT_CARRIED:
            del state[name]
        state["_modules"] = {name: child for name, child in self._modules.items() if name != self._rows_name}
        # What tracing leaves behind.
        return {name: value for name, value in state.items() if not name.startswith(TRACED)}

    def __prepare_scriptable__(self) -> torch.nn.Module:
        """What torch.jit.script takes in the module's place."""
        return symbolic_trace(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        result = _new(type(self))
        memo[id(self)] = result
        memo[id(self._so)] = self._so
        result.__dict__.update(copy.deepcopy(self._carried(), memo))
        result._attach(self._runtime.library)
        return result

    def __getstate__(self) -> dict[str, Any]:
        state = self._carried()
        state["_rows"] = None if self.register_tbes else pack_rows(self._rows)
        # Without the rest of the memory that they are views of.
        state["_maps"] = {name: tensor.clone() for name, tensor in self._maps.items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        tbes = state["_modules"].get("tbes")
        super().__setstate__({**state, "_rows": rows_of_tbes(tbes) if tbes else unpack_rows(state["_rows"])})
        self._attach()

    def _get_name(self) -> str:
        return type(self).__name__


def _after_load_state_dict(module: CompiledCollection, incompatible_keys: Any) -> None:
    # Nothing else sees what assign=True has done.
    module._restore_buffers()
    if module._exactness == "check":
        module.check_exactness()
