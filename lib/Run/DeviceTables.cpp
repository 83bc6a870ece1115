//===- DeviceTables.cpp - Tables on a GPU, for several models -------------===//

#include "trec/Run/DeviceTables.h"

#include "llvm/Support/MathExtras.h"

#include <cstring>

using namespace mlir;
using namespace mlir::trec;
using llvm::Error;
using llvm::Expected;

/// What the runtime asks of tables that lie on the device.
static constexpr int64_t kRowAlignment = 16;
/// Of rows that are moved apart and sent at a time.
static constexpr int64_t kStagingBytes = int64_t(16) << 20;

std::vector<trec_table_data>
mlir::trec::describeTables(ModuleOp module, const TableMap &tables) {
  std::vector<trec_table_data> described;
  for (auto table : module.getOps<TableOp>()) {
    TableData data = tables.lookup(table.getSymName());
    described.push_back({data.bytes.data(), data.rows,
                         table.getType().getRowType().getRowBytes()});
  }
  return described;
}

std::vector<trec_table_data>
mlir::trec::describeParameters(ModuleOp module, const TableMap &tables) {
  std::vector<trec_table_data> described;
  for (auto parameter : module.getOps<ParameterOp>()) {
    TableData data = tables.lookup(parameter.getSymName());
    described.push_back(
        {data.bytes.data(), data.rows, parameter.getEntryBytes()});
  }
  return described;
}

DeviceTables::~DeviceTables() {
  for (uint64_t address : memory)
    device->release(address);
}

Expected<uint64_t> DeviceTables::take(int64_t bytes) {
  Expected<uint64_t> address = device->allocate(bytes);
  if (address)
    memory.push_back(*address);
  return address;
}

Expected<trec_table_data> DeviceTables::copy(const trec_table_data &rows,
                                             int64_t stride) {
  Expected<uint64_t> address = take(rows.rows * stride);
  if (!address)
    return address.takeError();
  const auto *from = static_cast<const uint8_t *>(rows.data);
  int64_t most = std::max<int64_t>(kStagingBytes / stride, 1);
  std::vector<uint8_t> staged(std::min(most, rows.rows) * stride);
  for (int64_t first = 0; first < rows.rows; first += most) {
    int64_t count = std::min(most, rows.rows - first);
    for (int64_t row = 0; row < count; ++row)
      std::memcpy(staged.data() + row * stride,
                  from + (first + row) * rows.row_bytes, rows.row_bytes);
    if (Error error = device->write(*address + first * stride, staged.data(),
                                    count * stride))
      return error;
  }
  return trec_table_data{reinterpret_cast<const void *>(uintptr_t(*address)),
                         rows.rows, stride};
}

Expected<std::unique_ptr<DeviceTables>>
DeviceTables::create(std::shared_ptr<Device> device, ModuleOp module,
                     const TableMap &tables) {
  std::unique_ptr<DeviceTables> made(new DeviceTables(std::move(device)));
  for (const trec_table_data &table : describeTables(module, tables)) {
    auto copy =
        made->copy(table, llvm::alignTo(table.row_bytes, kRowAlignment));
    if (!copy)
      return copy.takeError();
    made->tables.push_back(*copy);
  }
  for (const trec_table_data &table : describeParameters(module, tables)) {
    auto copy = made->copy(table, table.row_bytes);
    if (!copy)
      return copy.takeError();
    made->parameters.push_back(*copy);
  }
  return made;
}
