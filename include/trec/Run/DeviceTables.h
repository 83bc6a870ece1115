//===- DeviceTables.h - Tables on a GPU, for several models -----*- C++ -*-===//
//
// Puts tables and parameters where models on a GPU use them as they lie, so
// that several compiled from one module share them:
//
//   auto tables = DeviceTables::create(device, module, random.getTables());
//   WeightsSource weights;
//   weights.onDevice = tables->get();
//
//===----------------------------------------------------------------------===//

#ifndef TREC_RUN_DEVICETABLES_H
#define TREC_RUN_DEVICETABLES_H

#include "trec/Reference/RandomInputs.h"
#include "trec/Run/Device.h"

namespace mlir::trec {

/// Tables and parameters of a module in host memory, in its order.
std::vector<trec_table_data> describeTables(ModuleOp module,
                                            const TableMap &tables);
std::vector<trec_table_data> describeParameters(ModuleOp module,
                                                const TableMap &tables);

class DeviceTables {
public:
  static llvm::Expected<std::unique_ptr<DeviceTables>>
  create(std::shared_ptr<Device> device, ModuleOp module,
         const TableMap &tables);
  ~DeviceTables();
  DeviceTables(const DeviceTables &) = delete;

  ArrayRef<trec_table_data> getTables() const { return tables; }
  ArrayRef<trec_table_data> getParameters() const { return parameters; }

private:
  explicit DeviceTables(std::shared_ptr<Device> device)
      : device(std::move(device)) {}
  llvm::Expected<uint64_t> take(int64_t bytes);
  /// Rows lie `stride` bytes apart on the device.
  llvm::Expected<trec_table_data> copy(const trec_table_data &rows,
                                       int64_t stride);

  std::shared_ptr<Device> device;
  std::vector<uint64_t> memory;
  std::vector<trec_table_data> tables, parameters;
};

} // namespace mlir::trec

#endif // TREC_RUN_DEVICETABLES_H
