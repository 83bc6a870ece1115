//===- StepReport.h - What a warp has to tell of a step ---------*- C++ -*-===//
//
// Puts together what the threads of a warp found wrong in a step and reports
// the lowest of the gravest. All that it writes but the position is found again
// here, so that kernels carry no more than that:
//
//   StepReport report(b, address, idType, lookup);
//   report.tell(result);
//
//===----------------------------------------------------------------------===//

#ifndef TREC_LIB_CONVERSION_TRECTOGPU_STEPREPORT_H
#define TREC_LIB_CONVERSION_TRECTOGPU_STEPREPORT_H

#include "DeviceReport.h"
#include "Inspection.h"

namespace mlir::trec {

class StepReport {
public:
  StepReport(DeviceBuilder &builder, Value address, IntegerType idType,
             const Lookup &lookup)
      : b(builder), report(builder, address), idType(idType), lookup(lookup) {}

  /// One thread tells for all of a warp, which have to come here together.
  void tell(const Findings &findings);

private:
  /// Of a bad id, offset, bag or output: sample, begin, position and value of
  /// ReportPlace.
  using Description = SmallVector<Value>;

  void write(Value kind, Value position);
  Description describe(Value kind, Value position);
  Description describeId(Value position);
  Description describeOffset(Value position);
  Description describeBag(Value position);
  Description describeOutput();
  Value findSample(Value position);

  DeviceBuilder &b;
  DeviceReport report;
  IntegerType idType;
  const Lookup &lookup;
};

} // namespace mlir::trec

#endif // TREC_LIB_CONVERSION_TRECTOGPU_STEPREPORT_H
