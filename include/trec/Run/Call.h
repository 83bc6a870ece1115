//===- Call.h - One call of forward, ready to be made -----------*- C++ -*-===//
//
// Holds a batch in one of the forms that the C interface takes, and the output.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_RUN_CALL_H
#define TREC_RUN_CALL_H

#include "trec/Run/Model.h"

namespace mlir::trec {

/// How ids and bags are passed.
struct CallForm {
  int32_t valuesType = TREC_INT64;
  bool withOffsets = false;
  /// Of lengths or offsets.
  int32_t bagsType = TREC_INT64;

  /// "int32 values, int64 offsets".
  std::string describe() const;
};

/// Elements of one of the C interface's integer types.
class IntegerArray {
public:
  IntegerArray(ArrayRef<int64_t> elements, int32_t type);
  const void *data() const { return bytes.data(); }

private:
  std::vector<uint8_t> bytes;
};

class Call {
public:
  Call(const ModelIR &ir, ArrayRef<Batch> batches, const CallForm &form);
  Call(const Call &) = delete;

  int32_t run(const Model &model, trec_error &error) {
    return model.forward(args, error);
  }
  /// Puts the batch on the model's device, for launches of it.
  llvm::Error prepare(const Model &model);
  /// Does not wait where the model is on a GPU.
  int32_t launch(const Model &model, trec_error &error) {
    return model.launch(onDevice ? onDevice->getArgs() : args, error);
  }
  const OutputBuffers &getOutputs() const { return outputs; }

private:
  /// One batch, and what it points to.
  struct Prepared {
    Prepared(KJTType type, const Batch &batch, const CallForm &form);
    Prepared(Prepared &&) = default;

    IntegerArray values;
    IntegerArray bags;
    std::vector<float> weights;
    std::vector<int32_t> slots;
    trec_batch args{};
  };

  std::vector<Prepared> prepared;
  std::vector<trec_batch> batches;
  OutputBuffers outputs;
  trec_forward_args args{};
  std::unique_ptr<DeviceCall> onDevice;
};

} // namespace mlir::trec

#endif // TREC_RUN_CALL_H
