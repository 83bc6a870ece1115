//===- GPULoweringSpaceTest.cpp - Which schedules of GPUs are tried -------===//

#include "trec/Transforms/GPULoweringSpace.h"

#include "trec/Conversion/KernelGeometry.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace mlir::trec;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

namespace {

class GPULoweringSpaceTest : public ::testing::Test {
protected:
  GPULoweringSpaceTest() : context(MLIRContext::Threading::DISABLED) {
    context.loadDialect<TrecDialect>();
  }

  /// With a lowering of so many lanes, units and rows.
  BagConfiguration make(int64_t dim, int64_t lanes, int64_t units,
                        int64_t rows) {
    auto layout = RowLayoutAttr::get(&context, HeaderType::f16, 16);
    BagConfiguration made{};
    made.row = RowType::get(&context, dim, WeightsType::int8, layout);
    made.pooling = Pooling::sum;
    made.outputElement = Float32Type::get(&context);
    made.gpuLowering = getLowering(lanes, units, rows, 0);
    return made;
  }
  GPULoweringConfigAttr getLowering(int64_t lanes, int64_t units, int64_t rows,
                                    int64_t stages) {
    return GPULoweringConfigAttr::get(&context, lanes, units, rows, 4, 8,
                                      GPUNumerics::fbgemm, 0, 0, 0, stages, 0,
                                      0, false, 1);
  }
  static std::vector<int64_t>
  getRows(ArrayRef<GPULoweringConfigAttr> lowerings) {
    std::vector<int64_t> rows;
    for (GPULoweringConfigAttr lowering : lowerings)
      rows.push_back(lowering.getRowsInFlight());
    return rows;
  }

  MLIRContext context;
};

} // namespace

TEST_F(GPULoweringSpaceTest, lanesBringAsManyUnitsAsMakeOnePass) {
  EXPECT_THAT(listAlternatives(make(128, 16, 2, 4), GPULoweringField::lanes),
              ElementsAre(getLowering(32, 1, 4, 0), getLowering(8, 4, 4, 0),
                          getLowering(4, 8, 4, 0)));
  // A row of two words has none for more lanes.
  EXPECT_THAT(listAlternatives(make(8, 2, 1, 4), GPULoweringField::lanes),
              ElementsAre(getLowering(1, 2, 4, 0)));
}

TEST_F(GPULoweringSpaceTest, rowsAreThoseThatRegistersHold) {
  EXPECT_THAT(getRows(listAlternatives(make(128, 16, 2, 4),
                                       GPULoweringField::rowsInFlight)),
              ElementsAre(1, 2, 3, 5, 6, 8, 10, 12, 16));
  EXPECT_THAT(getRows(listAlternatives(make(256, 8, 8, 4),
                                       GPULoweringField::rowsInFlight)),
              ElementsAre(1, 2, 3));
}

TEST_F(GPULoweringSpaceTest, allRowsOfBagsOfOneLengthMayBeInFlight) {
  BagConfiguration promised = make(128, 16, 2, 4);
  auto list = [&](int64_t length, PromisedLengths::Extent extent) {
    promised.lengths = {extent, length};
    return getRows(listAlternatives(promised, GPULoweringField::rowsInFlight));
  };
  EXPECT_THAT(list(20, PromisedLengths::all),
              ElementsAre(20, 1, 2, 3, 5, 6, 8, 10, 12, 16));
  EXPECT_THAT(list(20, PromisedLengths::some),
              ElementsAre(1, 2, 3, 5, 6, 8, 10, 12, 16));
  EXPECT_THAT(list(25, PromisedLengths::all),
              ElementsAre(1, 2, 3, 5, 6, 8, 10, 12, 16));
  EXPECT_THAT(list(0, PromisedLengths::all),
              ElementsAre(1, 2, 3, 5, 6, 8, 10, 12, 16));
}

TEST_F(GPULoweringSpaceTest, rowsOfStagesAreEvenAndNoMoreThanLanes) {
  BagConfiguration staged = make(32, 8, 1, 4);
  staged.gpuLowering = getLowering(8, 1, 4, 2);
  EXPECT_THAT(getRows(listAlternatives(staged, GPULoweringField::rowsInFlight)),
              ElementsAre(2, 6, 8));
  EXPECT_THAT(
      listAlternatives(make(32, 8, 1, 7), GPULoweringField::stages).front(),
      getLowering(8, 1, 6, 2));
}

TEST_F(GPULoweringSpaceTest, unitsAreThoseOfUpToFourPasses) {
  EXPECT_THAT(
      listAlternatives(make(256, 16, 4, 2), GPULoweringField::unitsPerLane),
      ElementsAre(getLowering(16, 2, 2, 0), getLowering(16, 1, 2, 0)));
}

TEST_F(GPULoweringSpaceTest, whatDoesNotFitIsNeverListed) {
  for (int64_t dim : {4, 24, 100, 128, 256, 520, 2048})
    for (GPULoweringField field : getGPULoweringFields()) {
      BagConfiguration configuration = make(dim, 8, 1, 4);
      for (GPULoweringConfigAttr lowering :
           listAlternatives(configuration, field)) {
        configuration.gpuLowering = lowering;
        EXPECT_EQ(findMisfit(configuration), std::nullopt) << dim;
        // Their constraints hold: reading the attribute verifies it.
        EXPECT_TRUE(GPULoweringConfigAttr::getChecked(
            [&] { return emitError(UnknownLoc::get(&context)); }, &context,
            lowering.getLanes(), lowering.getUnitsPerLane(),
            lowering.getRowsInFlight(), lowering.getWarps(),
            lowering.getBlocksPerSm(), lowering.getNumerics(),
            lowering.getFewLanes(), lowering.getFewUnitsPerLane(),
            lowering.getFewRowsInFlight(), lowering.getStages(),
            lowering.getFewStages(), lowering.getFewBlocksPerSm(),
            lowering.getEvictFirst(), lowering.getBagParts()));
      }
    }
}

TEST_F(GPULoweringSpaceTest, aScheduleForFewBagsIsOneOfItsOwn) {
  BagConfiguration plain = make(128, 16, 2, 4);
  for (GPULoweringConfigAttr lowering :
       listAlternatives(plain, GPULoweringField::fewRowsInFlight)) {
    EXPECT_EQ(lowering.getRowsInFlight(), 4);
    EXPECT_EQ(lowering.getFewLanes(), 16);
    EXPECT_NE(lowering.getFewRowsInFlight(), 4);
  }
  // The schedule of many bags is none of few bags' own.
  plain.gpuLowering =
      GPULoweringConfigAttr::get(&context, 16, 2, 4, 4, 8, GPUNumerics::fbgemm,
                                 16, 2, 8, 0, 0, 0, false, 1);
  EXPECT_THAT(listAlternatives(plain, GPULoweringField::fewRowsInFlight),
              ::testing::Contains(getLowering(16, 2, 4, 0)));
}

TEST_F(GPULoweringSpaceTest, withoutPoolingThereAreNoFewBagsAndNoStages) {
  BagConfiguration sequence = make(128, 16, 2, 4);
  sequence.pooling = std::nullopt;
  EXPECT_THAT(listAlternatives(sequence, GPULoweringField::fewLanes),
              IsEmpty());
  EXPECT_THAT(listAlternatives(sequence, GPULoweringField::stages), IsEmpty());
}

TEST_F(GPULoweringSpaceTest, whatIsComputedStaysTheModels) {
  GPULoweringConfigAttr measured = GPULoweringConfigAttr::get(
      &context, 8, 4, 3, 2, 4, GPUNumerics::cpu, 32, 1, 16, 0, 2, 3, true, 1);
  EXPECT_EQ(takeSchedule(measured, getLowering(16, 2, 4, 0)),
            GPULoweringConfigAttr::get(&context, 8, 4, 3, 4, 8,
                                       GPUNumerics::fbgemm, 32, 1, 16, 0, 2, 0,
                                       true, 1));
}

TEST_F(GPULoweringSpaceTest, rowsMayBeTheFirstToLeaveTheCache) {
  BagConfiguration plain = make(128, 16, 2, 4);
  EXPECT_THAT(listAlternatives(plain, GPULoweringField::evictFirst),
              ElementsAre(plain.gpuLowering.withEvictFirst(true)));
  plain.gpuLowering = plain.gpuLowering.withEvictFirst(true);
  EXPECT_THAT(listAlternatives(plain, GPULoweringField::evictFirst),
              ElementsAre(plain.gpuLowering.withEvictFirst(false)));
  // Rows of stages do not come by that way.
  plain.gpuLowering = getLowering(32, 1, 4, 2);
  EXPECT_THAT(listAlternatives(plain, GPULoweringField::evictFirst), IsEmpty());
}

TEST_F(GPULoweringSpaceTest, bagsHavePartsWhereSumsMayBeInAnyOrder) {
  BagConfiguration narrow = make(32, 8, 1, 8);
  EXPECT_THAT(listAlternatives(narrow, GPULoweringField::bagParts), IsEmpty());
  auto relaxed = [&](int64_t lanes, int64_t rows, int64_t parts,
                     int64_t fewLanes = 0, int64_t fewRows = 0) {
    return GPULoweringConfigAttr::get(
        &context, lanes, lanes == 8 ? 1 : 32 / lanes / 4, rows, 4, 8,
        GPUNumerics::relaxed, fewLanes, fewLanes ? 1 : 0, fewRows, 0, 0, 0,
        false, parts);
  };
  narrow.gpuLowering = relaxed(8, 8, 1, 8, 4);
  EXPECT_THAT(listAlternatives(narrow, GPULoweringField::bagParts),
              ElementsAre(relaxed(8, 3, 2, 8, 4), relaxed(8, 5, 2, 8, 4),
                          relaxed(8, 8, 2, 8, 4), relaxed(8, 3, 4, 8, 4),
                          relaxed(8, 5, 4, 8, 4), relaxed(8, 8, 4, 8, 4)));
  // More lanes leave fewer parts, and stages one.
  BagConfiguration wide = make(128, 8, 4, 3);
  wide.gpuLowering = relaxed(8, 3, 4);
  for (GPULoweringConfigAttr other :
       listAlternatives(wide, GPULoweringField::lanes))
    EXPECT_LE(other.getLanesPerBag(), 32);
  for (GPULoweringConfigAttr other :
       listAlternatives(wide, GPULoweringField::stages))
    EXPECT_EQ(other.getBagParts(), other.getStages() ? 1 : 4);
  // Few bags have one part, though nothing else differs.
  narrow.gpuLowering = relaxed(8, 4, 2, 8, 6);
  EXPECT_THAT(listAlternatives(narrow, GPULoweringField::fewRowsInFlight),
              ::testing::Contains(relaxed(8, 4, 2, 8, 4)));
  // Without pooling there is nothing to split.
  narrow.pooling = std::nullopt;
  EXPECT_THAT(listAlternatives(narrow, GPULoweringField::bagParts), IsEmpty());
}

TEST_F(GPULoweringSpaceTest, partsThatWereMeasuredAreTakenWhereNumbersAllow) {
  GPULoweringConfigAttr measured = GPULoweringConfigAttr::get(
      &context, 8, 1, 5, 4, 8, GPUNumerics::relaxed, 0, 0, 0, 0, 0, 0, true, 4);
  EXPECT_EQ(takeSchedule(measured, getLowering(8, 1, 8, 0)),
            getLowering(8, 1, 5, 0).withEvictFirst(true));
  GPULoweringConfigAttr relaxed =
      GPULoweringConfigAttr::get(&context, 8, 1, 8, 4, 8, GPUNumerics::relaxed,
                                 0, 0, 0, 0, 0, 0, false, 1);
  EXPECT_EQ(takeSchedule(measured, relaxed), measured);
}
