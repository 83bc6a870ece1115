//===- ForwardKernel.h - The kernel that runs all lookups -------*- C++ -*-===//
//
// Builds, for one type of ids, the kernel of a whole model:
//
//   gpu.func @trec_forward_i32(%launch: !llvm.ptr) kernel {
//     %lookup = …                      // the block's, found by its number
//     %isWrong = scf.index_switch …    // a case for each configuration
//     scf.if %isWrong { … }            // a report, with another switch
//   }
//
// The argument is struct trec_gpu_launch (DeviceABI.h).
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_FORWARDKERNEL_H
#define TREC_LIB_CONVERSION_TRECTOGPU_FORWARDKERNEL_H

#include "Lookup.h"
#include "trec/Conversion/BagConfiguration.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace mlir::trec {

/// Says on a kernel how many bytes the struct has that its argument points to.
constexpr StringLiteral kArgumentBytesAttrName = "trec.argument_bytes";

/// Makes a kernel without a body of the one argument, for blocks of so many
/// threads.
gpu::GPUFuncOp createKernel(OpBuilder &builder, Location loc, StringRef name,
                            int64_t argumentBytes, int64_t threads);

/// The launches that a kernel is scheduled for.
enum class ForwardLaunch {
  ManyBags, ///< trec_forward_i32 and _i64
  FewBags,  ///< trec_forward_few_i32 and _i64
  /// trec_forward_shared_i32 and _i64: so few that each bag has a block, which
  /// works on it alone where rows come to stages.
  SharedBags
};

/// Builds the kernel for such launches. All configurations agree in what is the
/// kernel's: warps, blocks per multiprocessor, numerics, and the element of the
/// output.
gpu::GPUFuncOp buildForwardKernel(OpBuilder &builder, Location loc,
                                  ArrayRef<BagConfiguration> configurations,
                                  const ModelShape &shape, IntegerType idType,
                                  ForwardLaunch launch);

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_FORWARDKERNEL_H
