//===- Lookup.h - What a block knows of its lookup --------------*- C++ -*-===//
//
// Reads `struct trec_gpu_launch` and `struct trec_gpu_bag` (DeviceABI.h), where
// every field has 8 bytes:
//
//   LaunchArgument launch(b, argument);
//   Lookup lookup = Lookup::load(b, launch, bagIndex, elementBytes);
//
// What every kernel needs is loaded at once, so that the loads overlap; the
// rest where it is used.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_LOOKUP_H
#define TREC_LIB_CONVERSION_TRECTOGPU_LOOKUP_H

#include "DeviceBuilder.h"

namespace mlir::trec {

/// The struct that a kernel takes by value.
class LaunchArgument {
public:
  LaunchArgument(DeviceBuilder &builder, Value pointer)
      : b(builder), pointer(pointer) {}
  /// The same struct, read again: what is computed of it is not shared with
  /// what has been computed of this one, and needs no registers until here.
  LaunchArgument readAgain() const;

  /// The field at an offset.
  Value load(int64_t offset) { return load(b.getI64Type(), offset); }
  /// The field at an offset of element `index` (i32 or i64) of an array of
  /// structs.
  Value load(int64_t arrayOffset, Value index, int64_t elementBytes,
             int64_t offset) {
    return load(b.getI64Type(), arrayOffset, index, elementBytes, offset);
  }
  /// The low half of a field that fits into it, as an i32. Loaded as such, or
  /// LLVM counts on in 64 bits.
  Value loadLow(int64_t offset) { return load(b.getI32Type(), offset); }
  Value loadLow(int64_t arrayOffset, Value index, int64_t elementBytes,
                int64_t offset) {
    return load(b.getI32Type(), arrayOffset, index, elementBytes, offset);
  }

private:
  Value load(Type type, int64_t offset);
  Value load(Type type, int64_t arrayOffset, Value index, int64_t elementBytes,
             int64_t offset);

  DeviceBuilder &b;
  Value pointer;
  Value zero; // an i64; null: nothing is to be added to offsets
};

/// What holds for all lookups of a model, and need not be looked up.
struct ModelShape {
  bool hasOneBatch, hasOneOutput;
  bool promisesAll; // of every key of the batch how many ids each of its bags
                    // has
};

/// Two offsets as i64.
struct OffsetPair {
  Value begin, end;
};

/// Where the ids between two offsets are, i32. Offsets that cannot be have none
/// between them.
struct IdSpan {
  Value begin, end;
  Value isGood; // an i1

  /// Between what `loadShortOffset` gave.
  static IdSpan between(DeviceBuilder &b, Value first, Value last);
};

constexpr int64_t kNoOffset = -1;

/// One lookup of a launch. i64 unless noted; counts fit into 31 bits, which the
/// host sees to.
struct Lookup {
  ModelShape shape;
  Value index; // in the array of lookups, an i32
  Value bag;   // address of struct trec_gpu_bag
  Value batch; // its number
  Value rows, numRows;
  Value values, numValues; // the latter an i32
  Value offsets;
  Value offsetBytes, hasWideOffsets; // 4 or 8, an i32; an i1
  Value sampleWeights;
  Value slots;
  Value firstOffset; // an i32: of its key in offsets
  Value firstId; // of its key, an i32, or kNoOffset; null: not all is promised
  Value batchSize;      // an i32
  Value output;         // address of its first column in row 0
  Value outputElements; // from a row to the next, an i32
  Value outputRows;     // without pooling: how many fit

  /// Number `index` (an i32) of the launch's.
  static Lookup load(DeviceBuilder &b, LaunchArgument &launch, Value index,
                     const ModelShape &shape, int64_t elementBytes);

  /// offsets[index], an i32 as the index is; kNoOffset where that is none of a
  /// value nor their number. Without a branch: it is what a block waits for
  /// first.
  Value loadShortOffset(DeviceBuilder &b, Value index) const;
  /// The same where `condition` holds, else `otherwise`, at once.
  Value loadShortOffsetIf(DeviceBuilder &b, Value condition, Value index,
                          Value otherwise) const;
  /// offsets[index] and the one behind it: whatever is there.
  OffsetPair loadOffsets(DeviceBuilder &b, Value index) const;
  Value loadOffset(DeviceBuilder &b, Value index) const;

  Value loadKernel(DeviceBuilder &b) const;
  Value loadPositionWeights(DeviceBuilder &b) const;
  Value loadMaxLength(DeviceBuilder &b) const;
  Value loadLength(DeviceBuilder &b) const;
  Value loadIdsBefore(DeviceBuilder &b) const;
  Value loadRowStride(DeviceBuilder &b) const;
  Value loadRemap(DeviceBuilder &b) const;
  Value loadNumRemap(DeviceBuilder &b) const;
  Value loadNumIds(DeviceBuilder &b) const;
  Value loadCountsBadIds(DeviceBuilder &b) const;

private:
  Value loadField(DeviceBuilder &b, int64_t offset) const;
  Value getOffsetAddress(DeviceBuilder &b, Value index) const;
  Value checkShortOffset(DeviceBuilder &b, Value low, Value high) const;
  void loadBatch(DeviceBuilder &b, LaunchArgument &launch, Value key);
  void findFeature(DeviceBuilder &b, Value key);
  void loadOutput(DeviceBuilder &b, LaunchArgument &launch, Value place,
                  int64_t elementBytes);
  Value findOutput(DeviceBuilder &b, LaunchArgument &launch) const;
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_LOOKUP_H
