"""Runs PTX on the CPU, slowly and strictly: numbers of kernels where there is no GPU.

    module = ptx.Module(text)
    memory = ptx.Memory()
    rows = memory.add("rows", array)            # a numpy array; returns its address
    ptx.run(module, "trec_forward_i32", memory, argument=bytes, blocks=3)

All threads of a block run together, those that are behind first, so that they meet again behind a branch. A warp
shuffles when all its threads have come to the shuffle. A copy to shared memory is there when it has been waited for. An
access out of the bounds of an array, to an address that is not aligned, or to memory that was added as read-only is an
error, and so is an instruction that is not known here.
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np

from trec.testing import ptx_arithmetic, ptx_copies
from trec.testing.ptx_memory import Memory

WARP = 32


@dataclasses.dataclass
class Instruction:
    opcode: list[str]  # "ld", "global", "nc", "b32"
    operands: list[str]
    guard: str | None  # a predicate register
    negated: bool
    text: str


class Kernel:
    def __init__(self, name: str, body: str, argument_bytes: int, threads: int) -> None:
        self.name, self.argument_bytes, self.threads = name, argument_bytes, threads
        self.labels: dict[str, int] = {}
        self.tables: dict[str, list[str]] = {}
        self.shared: dict[str, int] = {}
        self.code: list[Instruction] = []
        for line in re.split(r";|(?<=:)\s*\n", re.sub(r"//[^\n]*", "", body)):
            self.read(line.strip())

    def read(self, line: str) -> None:
        while match := re.match(r"([$\w]+):\s*(.*)", line, re.DOTALL):
            self.labels[match[1]] = len(self.code)
            line = match[2].strip()
            if line.startswith(".branchtargets"):
                self.tables[match[1]] = [target.strip() for target in line.split(None, 1)[1].split(",")]
                return
        if match := re.match(r"\.shared.*?([$\w]+)\[(\d+)\]", line):
            self.shared[match[1]] = int(match[2])
            return
        if not line or line.startswith((".reg", ".loc", ".file", ".pragma")):
            return
        guard = re.match(r"@(!?)(%\w+)\s+(.*)", line, re.DOTALL)
        text = guard[3] if guard else line
        opcode, _, rest = text.partition(" ") if " " in text else text.partition("\t")
        operands = re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+", rest)
        self.code.append(Instruction(opcode.strip().split("."), operands, guard and guard[2],
                                     bool(guard and guard[1]), text))


class Module:
    def __init__(self, text: str) -> None:
        self.kernels: dict[str, Kernel] = {}
        shared = dict((name, int(size)) for name, size in
                      re.findall(r"^\s*\.shared[^;]*?([$\w]+)\[(\d+)\];", text, re.MULTILINE))
        for match in re.finditer(r"\.entry\s+(\w+)\((.*?)\)(.*?)\n\{(.*?)\n\}", text, re.DOTALL):
            name, parameters, directives, body = match.groups()
            argument = re.search(r"\.b8 \w+\[(\d+)\]", parameters)
            threads = re.search(r"\.(?:reqntid|maxntid) (\d+)", directives)
            kernel = Kernel(name, body, int(argument[1]) if argument else 0, int(threads[1]) if threads else WARP)
            kernel.shared.update(shared)
            self.kernels[name] = kernel


class Block:
    """The threads of one block: registers of each, and where they are."""

    def __init__(self, kernel: Kernel, memory: Memory, symbols: dict[str, int], block: int) -> None:
        self.kernel, self.memory, self.symbols = kernel, memory, symbols
        self.count = kernel.threads
        self.lanes = np.arange(self.count) % WARP
        self.registers: dict[str, np.ndarray] = {}
        self.special = {"%tid.x": np.arange(self.count, dtype=np.uint64),
                        "%ctaid.x": np.full(self.count, block, np.uint64),
                        "%ctaid.y": np.zeros(self.count, np.uint64),
                        "%ntid.x": np.full(self.count, self.count, np.uint64),
                        "%laneid": self.lanes.astype(np.uint64)}
        self.pc = np.zeros(self.count, np.int64)
        self.alive = np.ones(self.count, bool)
        self.copies = ptx_copies.Copies(memory, self.count)

    # Operands, as unsigned integers of 64 bits.

    def read(self, operand: str, active: np.ndarray) -> np.ndarray:
        if operand in self.special:
            return self.special[operand][active]
        if operand.startswith("%"):
            return self.registers[operand][active]
        return np.full(len(active), self.constant(operand), np.uint64)

    def constant(self, operand: str) -> int:
        if operand in self.symbols:
            return self.symbols[operand]
        if operand.startswith(("0f", "0F")):
            return int(operand[2:], 16)
        if operand.startswith(("0d", "0D")):
            return int(operand[2:], 16)
        if operand in ("true", "false"):
            return int(operand == "true")
        return int(operand.removesuffix("U"), 0) & 0xFFFFFFFFFFFFFFFF

    def write(self, operand: str, active: np.ndarray, values: np.ndarray) -> None:
        if operand == "_":
            return
        register = self.registers.setdefault(operand, np.zeros(self.count, np.uint64))
        register[active] = values.astype(np.uint64)

    def address(self, operand: str, active: np.ndarray) -> np.ndarray:
        base, _, offset = operand.strip("[]").partition("+")
        return self.read(base, active) + np.uint64(int(offset or "0", 0) & 0xFFFFFFFFFFFFFFFF)

    # Scheduling.

    def run(self) -> None:
        step = 0
        while self.alive.any():
            step += 1
            places = np.unique(self.pc[self.alive])
            # Now and then those in front: one of them may hold a lock that the others wait for.
            for place in places if step % 16 else places[::-1]:
                active = self.choose(int(place))
                if len(active):
                    self.execute(self.kernel.code[place], active)
                    break
            else:
                raise ValueError(f"{self.kernel.name}: threads wait for each other")

    def choose(self, place: int) -> np.ndarray:
        """The threads at a place that may go on: at a barrier all, at a shuffle all of a warp."""
        here = self.alive & (self.pc == place)
        opcode = self.kernel.code[place].opcode
        if opcode[0] in ("bar", "barrier") and "warp" not in opcode:
            return np.flatnonzero(here) if here.sum() == self.alive.sum() else np.array([], int)
        if "sync" in opcode:
            full = (here | ~self.alive).reshape(-1, WARP).all(axis=1)
            here &= np.repeat(full, WARP)
        return np.flatnonzero(here)

    def execute(self, instruction: Instruction, active: np.ndarray) -> None:
        self.pc[active] += 1
        if instruction.guard:
            holds = self.registers[instruction.guard][active] != 0
            active = active[holds != instruction.negated]
            if not len(active):
                return
        name = instruction.opcode[0]
        if name in ("bra", "brx"):
            return self.jump(instruction, active)
        if name in ("ret", "exit"):
            self.alive[active] = False
            return None
        if name in ("bar", "barrier", "fence", "membar"):
            return None
        if name == "cp":
            return self.copy(instruction, active)
        if name in ("ld", "st", "atom", "red"):
            return self.access(instruction, active)
        if name in ("shfl", "vote", "redux"):
            return self.exchange(instruction, active)
        return self.compute(instruction, active)

    def jump(self, instruction: Instruction, active: np.ndarray) -> None:
        if instruction.opcode[0] == "bra":
            self.pc[active] = self.kernel.labels[instruction.operands[0]]
            return
        table = self.kernel.tables[instruction.operands[1]]
        targets = np.array([self.kernel.labels[target] for target in table])
        self.pc[active] = targets[self.read(instruction.operands[0], active).astype(np.int64)]

    def access(self, instruction: Instruction, active: np.ndarray) -> None:
        opcode = instruction.opcode
        size = ptx_arithmetic.bits_of(opcode[-1]) // 8
        if opcode[0] in ("atom", "red"):
            return self.atomic(instruction, active, size)
        is_load = opcode[0] == "ld"
        what, where = instruction.operands if is_load else reversed(instruction.operands)
        parts = [part.strip() for part in what.strip("{}").split(",")]
        addresses = self.address(where, active)
        for thread, address in zip(active, addresses):
            one = np.array([thread])
            for i, part in enumerate(parts):
                alignment = size * len(parts) if i == 0 else size
                at = int(address) + i * size
                if is_load:
                    value = self.memory.load(at, size, alignment)
                    if opcode[-1].startswith("s"):
                        value = ptx_arithmetic.sign_extend(value, 8 * size) & 0xFFFFFFFFFFFFFFFF
                    self.write(part, one, np.array([value], np.uint64))
                else:
                    value = int(self.read(part, one)[0]) & ((1 << 8 * size) - 1)
                    self.memory.store(at, size, alignment, value)
        return None

    def copy(self, instruction: Instruction, active: np.ndarray) -> None:
        if "commit_group" in instruction.opcode:
            return self.copies.commit(active)
        if "wait_group" in instruction.opcode:
            return self.copies.wait(active, int(instruction.operands[0]))
        if instruction.opcode != ["cp", "async", "cg", "shared", "global"] or len(instruction.operands) != 4:
            raise ValueError(f"unknown instruction: {instruction.text}")
        to, source, size, used = instruction.operands
        places = self.address(to, active), self.address(source, active)
        for thread, *what in zip(active, *places, self.read(used, active)):
            self.copies.start(thread, *map(int, what), int(size))
        return None

    def atomic(self, instruction: Instruction, active: np.ndarray, size: int) -> None:
        operands = list(instruction.operands)
        result = operands.pop(0) if instruction.opcode[0] == "atom" else "_"
        addresses = self.address(operands.pop(0), active)
        for thread, address in zip(active, addresses):
            one = np.array([thread])
            old = self.memory.load(int(address), size, size)
            values = [int(self.read(operand, one)[0]) for operand in operands]
            new = ptx_arithmetic.apply_atomic(instruction.opcode, old, values, 8 * size)
            self.memory.store(int(address), size, size, new)
            self.write(result, one, np.array([old], np.uint64))

    def exchange(self, instruction: Instruction, active: np.ndarray) -> None:
        if instruction.opcode[0] == "vote":
            holds = self.read(instruction.operands[1], active) != 0
            warps = active // WARP
            any_of = {warp: bool(holds[warps == warp].any()) for warp in np.unique(warps)}
            if "any" not in instruction.opcode:
                raise ValueError(f"unknown instruction: {instruction.text}")
            self.write(instruction.operands[0], active, np.array([any_of[warp] for warp in warps]))
            return
        if instruction.opcode[0] == "redux":
            return self.reduce(instruction, active)
        target, value, by, clamp = instruction.operands[:4]
        kind = next(kind for kind in ("idx", "bfly", "up", "down") if kind in instruction.opcode)
        lane = self.lanes[active]
        source = ptx_arithmetic.shuffle_source(kind, lane, self.read(by, active).astype(np.int64),
                                               self.read(clamp, active).astype(np.int64))
        held = np.zeros(self.count, np.uint64)
        held[active] = self.read(value, active)
        self.write(target.partition("|")[0], active, held[active - lane + source])

    def reduce(self, instruction: Instruction, active: np.ndarray) -> None:
        if instruction.opcode[2:] != ["max", "s32"]:
            raise ValueError(f"unknown instruction: {instruction.text}")
        values, warps = ptx_arithmetic.signed(self.read(instruction.operands[1], active), 32), active // WARP
        greatest = {warp: int(values[warps == warp].max()) & 0xFFFFFFFF for warp in np.unique(warps)}
        self.write(instruction.operands[0], active, np.array([greatest[warp] for warp in warps], np.uint64))

    def compute(self, instruction: Instruction, active: np.ndarray) -> None:
        opcode, operands = instruction.opcode, instruction.operands
        if opcode[0] == "mov" and (operands[0].startswith("{") or operands[1].startswith("{")):
            return self.repack(opcode, operands, active)
        values = [self.read(operand, active) for operand in operands[1:]]
        try:
            result = ptx_arithmetic.apply(opcode, values)
        except KeyError as error:
            raise ValueError(f"unknown instruction: {instruction.text}") from error
        return self.write(operands[0], active, result)

    def repack(self, opcode: list[str], operands: list[str], active: np.ndarray) -> None:
        """mov between a register and the parts of one."""
        bits = ptx_arithmetic.bits_of(opcode[-1])
        target, source = operands
        parts = [part.strip() for part in (target if target.startswith("{") else source).strip("{}").split(",")]
        width = bits // len(parts)
        if target.startswith("{"):
            whole = self.read(source, active)
            for i, part in enumerate(parts):
                self.write(part, active, (whole >> np.uint64(i * width)) & np.uint64((1 << width) - 1))
            return
        whole = np.zeros(len(active), np.uint64)
        for i, part in enumerate(parts):
            whole |= (self.read(part, active) & np.uint64((1 << width) - 1)) << np.uint64(i * width)
        self.write(target, active, whole)


def run(module: Module, name: str, memory: Memory, argument: bytes, blocks: int) -> None:
    """Launches a kernel of one argument, and runs its blocks one after the other."""
    kernel = module.kernels[name]
    if len(argument) != kernel.argument_bytes:
        raise ValueError(f"expected an argument of {kernel.argument_bytes} bytes, got {len(argument)}")
    symbols = {f"{name}_param_0": memory.add("the argument", np.frombuffer(argument, np.uint8))}
    for block in range(blocks):
        for symbol, size in kernel.shared.items():
            symbols[symbol] = memory.add(symbol, np.full(size, 0xA5, np.uint8), writable=True)
        Block(kernel, memory, symbols, block).run()
