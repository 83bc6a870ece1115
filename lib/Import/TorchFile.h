//===- TorchFile.h - Tensors that torch.save wrote --------------*- C++ -*-===//
//
// Finds the tensors of a saved dict, in dicts within it too, by the few calls
// that torch.save makes for a tensor. Values of any other kind are passed over.
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_IMPORT_TORCHFILE_H
#define TREC_LIB_IMPORT_TORCHFILE_H

#include "trec/Import/StateDict.h"

namespace mlir::trec {

/// The tensors of an archive; they refer to its bytes. Errors name no file.
llvm::Expected<std::vector<StridedTensor>> readTorchFile(llvm::StringRef file);

} // namespace mlir::trec

#endif // TREC_LIB_IMPORT_TORCHFILE_H
