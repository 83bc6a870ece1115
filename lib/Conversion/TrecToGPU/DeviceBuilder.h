//===- DeviceBuilder.h - Arithmetic of kernels, written as in C -*- C++ -*-===//
//
// A builder with the few operations that GPU kernels are made of:
//
//   DeviceBuilder b(builder, loc);
//   Value group = b.shiftRight(b.threadId(), 3);
//   Value row = b.load(b.pointer(address), b.getI32Type());
//
// At most one argument of a call makes ops: C++ does not fix the order of
// arguments, and the order of ops must not depend on who compiled this.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_DEVICEBUILDER_H
#define TREC_LIB_CONVERSION_TRECTOGPU_DEVICEBUILDER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace mlir::trec {

using Predicate = arith::CmpIPredicate;

/// Which other loads a load may pass on its way through LLVM and the assembler.
/// One in order does not pass `orderLoads`.
enum class LoadOrder { any, inOrder };

/// Whether the first level of the cache parts with what is loaded before it
/// parts with other lines.
enum class Eviction { normal, first };

struct LoadWay {
  LoadOrder order = LoadOrder::any;
  Eviction eviction = Eviction::normal;
};

class DeviceBuilder : public ImplicitLocOpBuilder {
public:
  static constexpr int64_t kWarpLanes = 32;

  DeviceBuilder(OpBuilder &builder, Location loc)
      : ImplicitLocOpBuilder(loc, builder) {}

  // Integers and booleans. A number stands for a constant of the type of the
  // value beside it.
  Value constant(Type type, int64_t value) {
    return arith::ConstantOp::create(*this, getIntegerAttr(type, value));
  }
  Value i32(int64_t value) { return constant(getI32Type(), value); }
  Value i64(int64_t value) { return constant(getI64Type(), value); }
  Value boolean(bool value) {
    return arith::ConstantOp::create(*this, getBoolAttr(value));
  }
  Value f32(float value) {
    return arith::ConstantOp::create(*this, getF32FloatAttr(value));
  }
  Value add(Value a, Value b) { return arith::AddIOp::create(*this, a, b); }
  Value add(Value a, int64_t b);
  Value subtract(Value a, Value b) {
    return arith::SubIOp::create(*this, a, b);
  }
  Value subtract(Value a, int64_t b);
  Value multiply(Value a, Value b) {
    return arith::MulIOp::create(*this, a, b);
  }
  Value multiply(Value a, int64_t b);
  Value both(Value a, Value b) { return arith::AndIOp::create(*this, a, b); }
  Value both(Value a, int64_t b);
  Value either(Value a, Value b) { return arith::OrIOp::create(*this, a, b); }
  Value exclusive(Value a, Value b) {
    return arith::XOrIOp::create(*this, a, b);
  }
  Value negate(Value condition) { return exclusive(condition, boolean(true)); }
  Value shiftLeft(Value a, int64_t by);
  Value shiftLeft(Value a, Value by) {
    return arith::ShLIOp::create(*this, a, by);
  }
  Value shiftRight(Value a, int64_t by);
  Value shiftRight(Value a, Value by) {
    return arith::ShRUIOp::create(*this, a, by);
  }
  Value compare(Predicate predicate, Value a, Value b) {
    return arith::CmpIOp::create(*this, predicate, a, b);
  }
  Value compare(Predicate predicate, Value a, int64_t b);
  Value select(Value condition, Value a, Value b) {
    return arith::SelectOp::create(*this, condition, a, b);
  }
  Value signExtend(Value value) {
    return arith::ExtSIOp::create(*this, getI64Type(), value);
  }
  Value zeroExtend(Value value) {
    return arith::ExtUIOp::create(*this, getI64Type(), value);
  }
  Value truncate(Value value) {
    return arith::TruncIOp::create(*this, getI32Type(), value);
  }
  /// The i64, computed here and not where it is used: what it is computed from
  /// then needs no registers in between.
  Value pin(Value value);
  /// Bytes 1 and 3 of an i32, each in the low byte of a half.
  Value takeOddBytes(Value word);
  /// The same bits as another type of this size.
  Value bits(Type type, Value value) {
    return LLVM::BitcastOp::create(*this, type, value);
  }

  // Memory. Addresses are i64, of global memory but for the argument.
  Value load(Value address, Type type) {
    return load(address, type, type.getIntOrFloatBitWidth() / 8);
  }
  /// From memory that nothing writes while a kernel runs.
  Value load(Value address, Type type, int64_t alignment);
  /// Where the condition holds, as many integers of the type of `otherwise` as
  /// `count` says, from memory that nothing writes; else `otherwise` for each.
  /// A predicated instruction: a branch for each row in flight would have the
  /// lanes of a warp meet again behind each.
  SmallVector<Value> loadIf(Value condition, Value address, Value otherwise,
                            int64_t count = 1, LoadWay way = {});
  /// Loads in order that are written behind this are sent behind those that are
  /// written in front of it. All lanes of the warp must come here; none waits
  /// for what has been loaded.
  void orderLoads() { syncWarp(); }
  /// From memory that others may write at any time.
  Value loadVolatile(Value address, Type type);
  void storeVolatile(Value address, Value value);
  void store(Value address, Value value, int64_t alignment);
  Value pointer(Value address);
  /// 1, 2 or 4 bytes of shared memory as an i32, or more as several, at a
  /// multiple of as many bytes as they are.
  SmallVector<Value> loadShared(Value address, int64_t bytes);
  void storeShared(Value address, Value word);
  /// Starts to copy the first `bytes` (an i32) of 16 bytes from global memory
  /// to shared, and to fill up with zeros. Both are at multiples of 16.
  void copyAsync(Value to, Value from, Value bytes);
  /// Ends a group of copies of the thread.
  void commitCopies();
  /// Waits for all but the last `numPending` groups of the thread.
  void waitForCopies(int64_t numPending);
  /// The element at `index` (an i32 or i64, not negative) of an array.
  Value addressOf(Value array, Value index, int64_t elementBytes);

  // Threads.
  Value threadId();
  Value blockId();
  /// The block's number, read again: what is computed of it is not shared with
  /// what has been computed of `blockId`, and so needs no registers until here.
  Value blockIdAgain();
  /// Zero, which no compiler knows: grids have one dimension.
  Value zeroAgain();
  /// What `lane` (of the group of `width` lanes that a lane is in) has.
  Value shuffle(Value value, Value lane, int64_t width);
  Value shuffle(Value value, int64_t lane, int64_t width);
  /// What the lane whose number differs in the bits of `mask` has.
  Value shuffleXor(Value value, int64_t mask);
  /// What the lane `distance` below has; a lane without one keeps its own.
  Value shuffleUp(Value value, int64_t distance);
  /// Whether any thread of the warp says so.
  Value anyOfWarp(Value condition);
  /// The greatest i32 of a warp, signed: the same for all its lanes, and known
  /// to be so.
  Value maxOfWarp(Value value);

  /// Waits for all lanes of the warp, and for what they wrote.
  void syncWarp();
  /// The same of all threads of the block.
  void syncBlock();

  // Control flow.
  using Body = function_ref<SmallVector<Value>()>;
  /// Values of one of two branches.
  SmallVector<Value> branch(Value condition, TypeRange types, Body then,
                            Body otherwise);
  void doIf(Value condition, function_ref<void()> then);
  /// A loop over i32, `from` to before `to`, that carries values.
  SmallVector<Value>
  loop(Value from, Value to, int64_t step, ValueRange carried,
       function_ref<SmallVector<Value>(Value, ValueRange)> body);
  SmallVector<Value>
  loop(Value from, Value to, Value step, ValueRange carried,
       function_ref<SmallVector<Value>(Value, ValueRange)> body);

private:
  Value shuffleHalves(Value value, function_ref<Value(Value)> shuffleWord);
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_DEVICEBUILDER_H
