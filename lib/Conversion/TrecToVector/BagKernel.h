//===- BagKernel.h - The kernel of one configuration ------------*- C++ -*-===//
//
// Builds the function that pools bags of one feature through one table:
//
//   func.func @kernel(%rows: memref<?xRxi8>,      // R: bytes of a row
//                     %ids: memref<?xi64>,        // or i32
//                     %offsets: memref<?xi64>,    // [bags + 1]
//                     %weights: memref<?xf32>,
//                     %output: memref<?xDxf32, strided<[?, 1]>>,  // or f16, bf16
//                     %report: memref<2xi64>,     // bad ids, lowest position
//                     %begin: index, %end: index) // bags
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOVECTOR_BAGKERNEL_H
#define TREC_LIB_CONVERSION_TRECTOVECTOR_BAGKERNEL_H

#include "trec/IR/TrecDialect.h"

namespace mlir::trec {

/// Everything that is constant in a kernel.
struct BagConfiguration {
  RowType row;
  Pooling pooling;
  bool weighted;
  Type outputElement; // f32, f16 or bf16
  IntegerType idType; // i32 or i64
  LoweringConfigAttr lowering;

  /// A name that says it all: "bag_sum_int8x128_align16_f32_i64".
  std::string getName() const;
};

/// Builds the kernel of a configuration at the insertion point of `builder`.
func::FuncOp buildBagKernel(OpBuilder &builder, Location loc,
                            const BagConfiguration &configuration);

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOVECTOR_BAGKERNEL_H
