//===- DeviceBuilder.cpp - Arithmetic of kernels, written as in C ---------===//

#include "DeviceBuilder.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace mlir::trec;

/// As the NVVM dialect numbers them.
static constexpr unsigned kGlobalMemory = 1, kSharedMemory = 3;

Value DeviceBuilder::add(Value a, int64_t b) {
  return b ? add(a, constant(a.getType(), b)) : a;
}

Value DeviceBuilder::subtract(Value a, int64_t b) {
  return subtract(a, constant(a.getType(), b));
}

Value DeviceBuilder::multiply(Value a, int64_t b) {
  return b == 1 ? a : multiply(a, constant(a.getType(), b));
}

Value DeviceBuilder::both(Value a, int64_t b) {
  return both(a, constant(a.getType(), b));
}

Value DeviceBuilder::shiftLeft(Value a, int64_t by) {
  if (by == 0)
    return a;
  Value amount = constant(a.getType(), by);
  return arith::ShLIOp::create(*this, a, amount);
}

Value DeviceBuilder::shiftRight(Value a, int64_t by) {
  if (by == 0)
    return a;
  Value amount = constant(a.getType(), by);
  return arith::ShRUIOp::create(*this, a, amount);
}

Value DeviceBuilder::compare(Predicate predicate, Value a, int64_t b) {
  return compare(predicate, a, constant(a.getType(), b));
}

Value DeviceBuilder::pin(Value value) {
  return LLVM::InlineAsmOp::create(
             *this, TypeRange{value.getType()}, ValueRange{value},
             "mov.b64 $0, $1;", "=l,l", /*has_side_effects=*/true,
             /*is_align_stack=*/false, LLVM::TailCallKind::None,
             LLVM::AsmDialectAttr(), ArrayAttr())
      .getResult(0);
}

/// One instruction, where a shift and a mask are two. Bytes 4 to 7 are zeros.
Value DeviceBuilder::takeOddBytes(Value word) {
  Value zeros = i32(0), selector = i32(0x4341);
  return NVVM::PermuteOp::create(*this, getI32Type(), word, zeros, selector,
                                 NVVM::PermuteMode::DEFAULT);
}

Value DeviceBuilder::pointer(Value address) {
  auto type = LLVM::LLVMPointerType::get(getContext(), kGlobalMemory);
  return LLVM::IntToPtrOp::create(*this, type, address);
}

Value DeviceBuilder::load(Value address, Type type, int64_t alignment) {
  return LLVM::LoadOp::create(*this, type, pointer(address),
                              unsigned(alignment), /*isVolatile=*/false,
                              /*isNonTemporal=*/false, /*isInvariant=*/true);
}

/// The read-only path has no order: a load of it passes any barrier, and the
/// assembler sends one first whose value is needed first.
SmallVector<Value> DeviceBuilder::loadIf(Value condition, Value address,
                                         Value otherwise, int64_t count,
                                         LoadWay way) {
  bool isInOrder = way.order == LoadOrder::inOrder;
  bool isAlways = matchPattern(condition, m_One());
  Type type = otherwise.getType();
  int64_t bits = type.getIntOrFloatBitWidth();
  std::string output = bits == 64 ? "=l," : "=r,", constraints, list, ties;
  for (int64_t i = 0; i < count; ++i) {
    constraints += output;
    list += (i ? ", $" : "$") + std::to_string(i);
    ties += "," + std::to_string(i);
  }
  std::string from = std::to_string(count), guard = std::to_string(count + 1);
  std::string text = isAlways ? "" : "@$" + guard + " ";
  text += isInOrder ? "ld.global" : "ld.global.nc";
  text += way.eviction == Eviction::first ? ".L1::evict_first" : "";
  text += (count == 1 ? "" : ".v" + from) + ".b" + std::to_string(bits) + " ";
  text += (count == 1 ? list : "{" + list + "}") + ", [$" + from + "];";
  constraints += isAlways ? "l" : "l,b" + ties;
  SmallVector<Value> operands = {address};
  if (!isAlways) {
    operands.push_back(condition);
    operands.append(count, otherwise);
  }
  Type result = type;
  if (count > 1)
    result = LLVM::LLVMStructType::getLiteral(getContext(),
                                              SmallVector<Type>(count, type));
  auto load = LLVM::InlineAsmOp::create(
      *this, TypeRange{result}, operands, text, constraints,
      /*has_side_effects=*/isInOrder, /*is_align_stack=*/false,
      LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr());
  if (count == 1)
    return {load.getResult(0)};
  SmallVector<Value> loaded;
  for (int64_t i = 0; i < count; ++i)
    loaded.push_back(LLVM::ExtractValueOp::create(*this, load.getResult(0), i));
  return loaded;
}

Value DeviceBuilder::loadVolatile(Value address, Type type) {
  return LLVM::LoadOp::create(*this, type, pointer(address), /*alignment=*/8,
                              /*isVolatile=*/true);
}

void DeviceBuilder::storeVolatile(Value address, Value value) {
  LLVM::StoreOp::create(*this, value, pointer(address), /*alignment=*/8,
                        /*isVolatile=*/true);
}

void DeviceBuilder::store(Value address, Value value, int64_t alignment) {
  LLVM::StoreOp::create(*this, value, pointer(address), unsigned(alignment));
}

static Value makeSharedPointer(DeviceBuilder &b, Value address) {
  auto type = LLVM::LLVMPointerType::get(b.getContext(), kSharedMemory);
  return LLVM::IntToPtrOp::create(b, type, address);
}

SmallVector<Value> DeviceBuilder::loadShared(Value address, int64_t bytes) {
  constexpr int64_t wordBytes = 4;
  Value pointer = makeSharedPointer(*this, address);
  if (bytes <= wordBytes) {
    Type type = getIntegerType(8 * bytes);
    Value loaded = LLVM::LoadOp::create(*this, type, pointer, bytes);
    if (bytes < wordBytes)
      loaded = arith::ExtUIOp::create(*this, getI32Type(), loaded);
    return {loaded};
  }
  int64_t count = bytes / wordBytes;
  auto type = VectorType::get({count}, getI32Type());
  Value loaded = LLVM::LoadOp::create(*this, type, pointer, bytes);
  SmallVector<Value> words;
  for (int64_t i = 0; i < count; ++i)
    words.push_back(vector::ExtractOp::create(*this, loaded, i));
  return words;
}

void DeviceBuilder::storeShared(Value address, Value word) {
  LLVM::StoreOp::create(*this, word, makeSharedPointer(*this, address),
                        /*alignment=*/4);
}

void DeviceBuilder::copyAsync(Value to, Value from, Value bytes) {
  NVVM::CpAsyncOp::create(*this, makeSharedPointer(*this, to), pointer(from),
                          /*size=*/16, NVVM::LoadCacheModifierKind::CG, bytes);
}

void DeviceBuilder::commitCopies() {
  NVVM::CpAsyncCommitGroupOp::create(*this);
}

void DeviceBuilder::waitForCopies(int64_t numPending) {
  NVVM::CpAsyncWaitGroupOp::create(*this, numPending);
}

Value DeviceBuilder::addressOf(Value array, Value index, int64_t elementBytes) {
  Value wide = index.getType().isInteger(32) ? zeroExtend(index) : index;
  return add(array, multiply(wide, elementBytes));
}

/// Numbers of threads and blocks fit into 31 bits.
static Value toI32(DeviceBuilder &b, Value index) {
  return arith::IndexCastOp::create(b, b.getI32Type(), index);
}

Value DeviceBuilder::threadId() {
  return toI32(*this, gpu::ThreadIdOp::create(*this, gpu::Dimension::x));
}

Value DeviceBuilder::blockId() {
  return toI32(*this, gpu::BlockIdOp::create(*this, gpu::Dimension::x));
}

/// With a side effect, so that it is read where it stands.
static Value readAgain(DeviceBuilder &b, StringRef number) {
  return LLVM::InlineAsmOp::create(
             b, TypeRange{b.getI32Type()}, ValueRange(),
             ("mov.u32 $0, " + number + ";").str(), "=r",
             /*has_side_effects=*/true, /*is_align_stack=*/false,
             LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr())
      .getResult(0);
}

Value DeviceBuilder::blockIdAgain() { return readAgain(*this, "%ctaid.x"); }

Value DeviceBuilder::zeroAgain() { return readAgain(*this, "%ctaid.y"); }

/// All lanes of a warp take part in a shuffle. The low bits of the clamp end
/// the range of lanes, the bits from 8 on are those that a lane's group shares.
static Value emitShuffle(DeviceBuilder &b, Value word, Value operand,
                         int64_t clamp, NVVM::ShflKind kind) {
  Value all = b.i32(-1), range = b.i32(clamp);
  return NVVM::ShflOp::create(b, word.getType(), all, word, operand, range,
                              kind, UnitAttr());
}

Value DeviceBuilder::shuffleHalves(Value value,
                                   function_ref<Value(Value)> shuffleWord) {
  if (value.getType().getIntOrFloatBitWidth() == 32)
    return shuffleWord(value);
  Value low = shuffleWord(truncate(value));
  Value high = shuffleWord(truncate(shiftRight(value, 32)));
  Value wideLow = zeroExtend(low);
  Value wideHigh = shiftLeft(zeroExtend(high), 32);
  return either(wideHigh, wideLow);
}

Value DeviceBuilder::shuffle(Value value, Value lane, int64_t width) {
  int64_t clamp = ((kWarpLanes - width) << 8) | (kWarpLanes - 1);
  return shuffleHalves(value, [&](Value word) {
    return emitShuffle(*this, word, lane, clamp, NVVM::ShflKind::idx);
  });
}

Value DeviceBuilder::shuffle(Value value, int64_t lane, int64_t width) {
  // A group of one lane hands nothing out.
  return width == 1 ? value : shuffle(value, i32(lane), width);
}

Value DeviceBuilder::shuffleXor(Value value, int64_t mask) {
  Value other = i32(mask);
  return shuffleHalves(value, [&](Value word) {
    return emitShuffle(*this, word, other, kWarpLanes - 1,
                       NVVM::ShflKind::bfly);
  });
}

Value DeviceBuilder::shuffleUp(Value value, int64_t distance) {
  Value by = i32(distance);
  return shuffleHalves(value, [&](Value word) {
    return emitShuffle(*this, word, by, /*clamp=*/0, NVVM::ShflKind::up);
  });
}

Value DeviceBuilder::anyOfWarp(Value condition) {
  Value all = i32(-1);
  return NVVM::VoteSyncOp::create(
      *this, getI1Type(), all, condition,
      NVVM::VoteSyncKindAttr::get(getContext(), NVVM::VoteSyncKind::any));
}

Value DeviceBuilder::maxOfWarp(Value value) {
  Value all = i32(-1);
  return NVVM::ReduxOp::create(*this, value.getType(), value,
                               NVVM::ReduxKind::MAX, all);
}

void DeviceBuilder::syncWarp() { NVVM::SyncWarpOp::create(*this, i32(-1)); }

void DeviceBuilder::syncBlock() { gpu::BarrierOp::create(*this); }

SmallVector<Value> DeviceBuilder::branch(Value condition, TypeRange types,
                                         Body then, Body otherwise) {
  auto op = scf::IfOp::create(*this, types, condition, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(op.thenBlock());
  scf::YieldOp::create(*this, then());
  setInsertionPointToStart(op.elseBlock());
  scf::YieldOp::create(*this, otherwise());
  return llvm::to_vector_of<Value>(op.getResults());
}

void DeviceBuilder::doIf(Value condition, function_ref<void()> then) {
  auto op = scf::IfOp::create(*this, condition, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(op.thenBlock());
  then();
}

SmallVector<Value>
DeviceBuilder::loop(Value from, Value to, int64_t step, ValueRange carried,
                    function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  return loop(from, to, constant(from.getType(), step), carried, body);
}

SmallVector<Value>
DeviceBuilder::loop(Value from, Value to, Value step, ValueRange carried,
                    function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto op = scf::ForOp::create(*this, from, to, step, carried);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(op.getBody());
  SmallVector<Value> results =
      body(op.getInductionVar(), op.getRegionIterArgs());
  // A loop that carries nothing ends by itself.
  if (!carried.empty())
    scf::YieldOp::create(*this, results);
  return llvm::to_vector_of<Value>(op.getResults());
}
