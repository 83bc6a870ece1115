//===- BagKernel.h - The kernel of one configuration ------------*- C++ -*-===//
//
// Builds the function that pools bags of one feature through one table, or
// writes the rows of its ids:
//
//   func.func @kernel(%rows: memref<?xRxi8>,    // R: bytes of a row
//                     %ids: memref<?xi64>,      // or i32
//                     %offsets: memref<?xi64>,  // [bags + 1]
//                     %weights: memref<?xf32>,  // per id, or per position
//                     %output: memref<?xDxf32, strided<[?, 1]>>,
//                     %report: memref<2xi64>,   // bad ids, lowest position
//                     %remap: memref<?xi32>,    // ids to rows; or of i64
//                     %numIds: index,           // of a map
//                     %certifiedLength: index,  // of bags with exact sums
//                     %certifiedOffset: f32,    // of their sums, for each id
//                     %fetchesFar: index,       // 0, or how many rows
//                     %stores: index,           // TREC_STORES_*
//                     %haveOneId: index,        // 1: each of the bags
//                     %begin: index, %end: index) // bags, or ids
//
// The output's elements are of the stored type (HalfFloat.h): f32, f16 or i16;
// or i8, where rows are copied as they are stored (RowCopy.h).
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOVECTOR_BAGKERNEL_H
#define TREC_LIB_CONVERSION_TRECTOVECTOR_BAGKERNEL_H

#include "trec/Conversion/BagConfiguration.h"

namespace mlir::trec {

/// Builds the kernel of a configuration for ids of `idType` (i32 or i64).
func::FuncOp buildBagKernel(OpBuilder &builder, Location loc,
                            const BagConfiguration &configuration,
                            IntegerType idType);

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOVECTOR_BAGKERNEL_H
