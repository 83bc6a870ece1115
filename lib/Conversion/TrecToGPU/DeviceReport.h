//===- DeviceReport.h - Telling the host what went wrong --------*- C++ -*-===//
//
// Code that writes to `struct trec_gpu_report` (DeviceABI.h), host memory that
// all launches share. One thread at a time holds its lock; the host never does.
//
//   DeviceReport report(b, address);
//   report.count(badIds);
//   report.write({kind, batch, bag, sample, begin, position, value});
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_DEVICEREPORT_H
#define TREC_LIB_CONVERSION_TRECTOGPU_DEVICEREPORT_H

#include "DeviceBuilder.h"

namespace mlir::trec {

/// What went wrong and where, all i64: the fields of struct trec_gpu_report.
struct ReportPlace {
  Value kind, batch, bag, sample, begin, position, value;
};

class DeviceReport {
public:
  DeviceReport(DeviceBuilder &builder, Value address)
      : b(builder), address(address) {}

  /// Adds to the number of bad ids.
  void count(Value badIds);
  /// Writes the place unless a lower one is there. For one thread of a warp at
  /// a time: the lock is waited for.
  void write(const ReportPlace &place);

private:
  Value field(int64_t offset) { return b.add(address, offset); }
  Value read(int64_t offset) {
    return b.loadVolatile(field(offset), b.getI64Type());
  }
  void set(int64_t offset, Value value) {
    b.storeVolatile(field(offset), value);
  }
  void fence();
  Value isToBeWritten(const ReportPlace &place);
  Value isLower(const ReportPlace &place);
  Value isSettled(const ReportPlace &place);
  Value tryLock(Value free);
  void writeLocked(const ReportPlace &place, Value free);

  DeviceBuilder &b;
  Value address;
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_DEVICEREPORT_H
