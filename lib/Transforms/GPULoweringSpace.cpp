//===- GPULoweringSpace.cpp - What else a GPU's lowering may be -----------===//

#include "trec/Transforms/GPULoweringSpace.h"

#include "trec/Conversion/KernelGeometry.h"
#include "trec/IR/RowUnits.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace mlir::trec;

/// As the attribute's constraints say.
static constexpr int64_t kMostLanes = 32, kMostUnits = 8, kMostPasses = 4,
                         kMostRows = 32;
/// Words of rows in flight that a lane has registers for, if it has few others.
static constexpr int64_t kMostWords = 32;
/// The same where all rows of every bag are in flight.
static constexpr int64_t kMostWordsOfAll = 48;
/// Copies to shared memory are of whole lanes' 16 bytes; fewer lanes than this
/// take rows into registers.
static constexpr int64_t kFewestLanesOfStages = 4;

ArrayRef<GPULoweringField> mlir::trec::getGPULoweringFields() {
  static constexpr GPULoweringField fields[] = {
      GPULoweringField::lanes,           GPULoweringField::bagParts,
      GPULoweringField::rowsInFlight,    GPULoweringField::unitsPerLane,
      GPULoweringField::stages,          GPULoweringField::evictFirst,
      GPULoweringField::fewLanes,        GPULoweringField::fewRowsInFlight,
      GPULoweringField::fewUnitsPerLane, GPULoweringField::fewStages};
  return fields;
}

StringRef mlir::trec::stringifyLoweringField(GPULoweringField field) {
  switch (field) {
  case GPULoweringField::lanes:
    return "lanes";
  case GPULoweringField::rowsInFlight:
    return "rows_in_flight";
  case GPULoweringField::unitsPerLane:
    return "units_per_lane";
  case GPULoweringField::stages:
    return "stages";
  case GPULoweringField::fewLanes:
    return "few_lanes";
  case GPULoweringField::fewRowsInFlight:
    return "few_rows_in_flight";
  case GPULoweringField::fewUnitsPerLane:
    return "few_units_per_lane";
  case GPULoweringField::fewStages:
    return "few_stages";
  case GPULoweringField::evictFirst:
    return "evict_first";
  case GPULoweringField::bagParts:
    return "bag_parts";
  }
  llvm_unreachable("all fields are listed");
}

namespace {

/// How a row comes in and is summed, where there are many bags or few.
struct Schedule {
  int64_t lanes, units, rows, stages;

  bool operator==(const Schedule &other) const {
    return std::tie(lanes, units, rows, stages) ==
           std::tie(other.lanes, other.units, other.rows, other.stages);
  }
};

} // namespace

static bool isOfFewBags(GPULoweringField field) {
  return field >= GPULoweringField::fewLanes &&
         field <= GPULoweringField::fewStages;
}

static GPULoweringField getForManyBags(GPULoweringField field) {
  int distance = int(GPULoweringField::fewLanes) - int(GPULoweringField::lanes);
  return isOfFewBags(field) ? GPULoweringField(int(field) - distance) : field;
}

static Schedule getSchedule(GPULoweringConfigAttr lowering) {
  return {lowering.getLanes(), lowering.getUnitsPerLane(),
          lowering.getRowsInFlight(), lowering.getStages()};
}

/// As many parts of a bag as there are lanes for, one where sums are in order
/// or rows come to stages.
static int64_t limitParts(int64_t parts, const Schedule &many,
                          GPUNumerics numerics) {
  if (numerics != GPUNumerics::relaxed || many.stages)
    return 1;
  return std::min(parts, kMostLanes / many.lanes);
}

static GPULoweringConfigAttr combine(GPULoweringConfigAttr lowering,
                                     const Schedule &many,
                                     std::optional<Schedule> few,
                                     int64_t bagParts) {
  bagParts = limitParts(bagParts, many, lowering.getNumerics());
  // What is few bags' own has one part.
  if (!few || (*few == many && bagParts == 1))
    few = Schedule{0, 0, 0, 0};
  return GPULoweringConfigAttr::get(
      lowering.getContext(), many.lanes, many.units, many.rows,
      lowering.getWarps(), lowering.getBlocksPerSm(), lowering.getNumerics(),
      few->lanes, few->units, few->rows, many.stages, few->stages,
      lowering.getFewBlocksPerSm(), lowering.getEvictFirst(), bagParts);
}

/// A schedule for few bags of its own, or nothing.
static std::optional<Schedule> getFew(GPULoweringConfigAttr lowering) {
  if (lowering.getFewLanes() == 0)
    return std::nullopt;
  return getSchedule(lowering.getForFewBags());
}

/// Of passes of like width the fewest that hold all units.
static int64_t getUnits(int64_t count, int64_t lanes, int64_t fewestPasses) {
  int64_t all = llvm::divideCeil(count, lanes);
  int64_t passes =
      std::max<int64_t>(fewestPasses, llvm::divideCeil(all, kMostUnits));
  return llvm::divideCeil(all, passes);
}

/// With as many stages as these rows can have.
static Schedule adapt(const BagConfiguration &configuration,
                      Schedule schedule) {
  BagConfiguration candidate = configuration;
  if (schedule.lanes < kFewestLanesOfStages)
    schedule.stages = 0;
  if (schedule.stages) {
    schedule.rows = std::min(schedule.rows, schedule.lanes);
    schedule.rows = std::max<int64_t>(schedule.rows / 2 * 2, 2);
  }
  for (; schedule.stages; schedule.stages -= schedule.stages == 2 ? 2 : 1) {
    candidate.gpuLowering =
        combine(configuration.gpuLowering, schedule, std::nullopt,
                /*bagParts=*/1);
    if (!findScheduleMisfit(candidate))
      break;
  }
  return schedule;
}

static SmallVector<int64_t> listLanes(const RowUnits &units) {
  SmallVector<int64_t> lanes;
  int64_t most = std::min<int64_t>(llvm::PowerOf2Ceil(units.count), kMostLanes);
  for (int64_t number = most; number && most / number <= kMostUnits;
       number /= 2)
    lanes.push_back(number);
  return lanes;
}

static SmallVector<int64_t> listUnits(const RowUnits &units, int64_t lanes) {
  SmallVector<int64_t> numbers;
  for (int64_t passes = 1; passes <= kMostPasses; ++passes)
    numbers.push_back(getUnits(units.count, lanes, passes));
  return numbers;
}

/// All rows of a bag, where every bag has as many: there is no loop then, and
/// little to keep besides.
static std::optional<int64_t> getAllRows(const BagConfiguration &configuration,
                                         int64_t wordsOfRow) {
  const PromisedLengths &lengths = configuration.lengths;
  int64_t most = std::min(kMostWordsOfAll / wordsOfRow, kMostRows);
  if (lengths.extent != PromisedLengths::all || !lengths.common ||
      *lengths.common < 1 || *lengths.common > most)
    return std::nullopt;
  return lengths.common;
}

static SmallVector<int64_t> listRows(const BagConfiguration &configuration,
                                     const Schedule &schedule) {
  RowUnits units = RowUnits::of(configuration.row);
  SmallVector<int64_t> numbers;
  int64_t wordsOfRow = schedule.units * units.getWords();
  if (std::optional<int64_t> all = getAllRows(configuration, wordsOfRow);
      all && !schedule.stages)
    numbers.push_back(*all);
  for (int64_t rows : {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24})
    if (schedule.stages ? rows % 2 == 0 && rows <= schedule.lanes
                        : rows * wordsOfRow <= kMostWords)
      numbers.push_back(rows);
  return numbers;
}

/// Schedules that differ in the field; some may be alike.
static SmallVector<Schedule>
listSchedules(const BagConfiguration &configuration, GPULoweringField field,
              Schedule schedule) {
  RowUnits units = RowUnits::of(configuration.row);
  SmallVector<Schedule> found;
  auto add = [&](Schedule other) { found.push_back(other); };
  switch (field) {
  case GPULoweringField::lanes:
    for (int64_t lanes : listLanes(units))
      add({lanes, getUnits(units.count, lanes, 1), schedule.rows,
           schedule.stages});
    return found;
  case GPULoweringField::rowsInFlight:
    for (int64_t rows : listRows(configuration, schedule))
      add({schedule.lanes, schedule.units, rows, schedule.stages});
    return found;
  case GPULoweringField::unitsPerLane:
    for (int64_t number : listUnits(units, schedule.lanes))
      add({schedule.lanes, number, schedule.rows, schedule.stages});
    return found;
  default:
    for (int64_t stages : {0, 2, 3, 4, 6, 8})
      add({schedule.lanes, schedule.units, schedule.rows, stages});
    return found;
  }
}

/// Lowerings whose bags have so many parts, with fewer rows in flight for each.
static SmallVector<GPULoweringConfigAttr>
listParts(const BagConfiguration &configuration) {
  GPULoweringConfigAttr lowering = configuration.gpuLowering;
  SmallVector<GPULoweringConfigAttr> found;
  if (!configuration.pooling)
    return found;
  Schedule schedule = getSchedule(lowering);
  for (int64_t parts : {2, 4, 8}) {
    if (limitParts(parts, schedule, lowering.getNumerics()) != parts)
      break;
    for (int64_t rows : {3, 5, 8}) {
      schedule.rows = rows;
      found.push_back(combine(lowering, schedule, getFew(lowering), parts));
    }
  }
  return found;
}

SmallVector<GPULoweringConfigAttr>
mlir::trec::listAlternatives(const BagConfiguration &configuration,
                             GPULoweringField field) {
  GPULoweringConfigAttr lowering = configuration.gpuLowering;
  if (field == GPULoweringField::bagParts)
    return listParts(configuration);
  if (field == GPULoweringField::evictFirst && lowering.getStages())
    return {};
  if (field == GPULoweringField::evictFirst)
    return {lowering.withEvictFirst(!lowering.getEvictFirst())};
  bool isFew = isOfFewBags(field);
  // Without pooling no id waits for another.
  if (isFew && !configuration.pooling)
    return {};
  Schedule many = getSchedule(lowering);
  std::optional<Schedule> few = getFew(lowering);
  llvm::SmallSetVector<GPULoweringConfigAttr, 8> alternatives;
  for (const Schedule &other :
       listSchedules(configuration, getForManyBags(field),
                     isFew ? few.value_or(many) : many)) {
    Schedule fitting = adapt(configuration, other);
    GPULoweringConfigAttr found =
        combine(lowering, isFew ? many : fitting, isFew ? fitting : few,
                lowering.getBagParts());
    if (found != lowering)
      alternatives.insert(found);
  }
  return alternatives.takeVector();
}

GPULoweringConfigAttr mlir::trec::takeSchedule(GPULoweringConfigAttr measured,
                                               GPULoweringConfigAttr model) {
  return combine(model.withEvictFirst(measured.getEvictFirst()),
                 getSchedule(measured), getFew(measured),
                 measured.getBagParts());
}

std::optional<std::string>
mlir::trec::findMisfit(const BagConfiguration &configuration) {
  if (std::optional<std::string> misfit = findScheduleMisfit(configuration))
    return misfit;
  return findScheduleMisfit(configuration.getForFewBags());
}
