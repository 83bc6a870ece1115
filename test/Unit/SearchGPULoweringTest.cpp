//===- SearchGPULoweringTest.cpp - Which schedule of a GPU is taken -------===//
//
// Times are made up, so that it is the search that is tested.
//
//===----------------------------------------------------------------------===//

#include "SearchGPULowering.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

class SearchGPULoweringTest : public ::testing::Test {
protected:
  using Times = GPULoweringSearch::CandidateTimes;

  SearchGPULoweringTest() : context(MLIRContext::Threading::DISABLED) {
    context.loadDialect<TrecDialect>();
    configuration.row =
        RowType::get(&context, 128, WeightsType::int8,
                     RowLayoutAttr::get(&context, HeaderType::f16, 16));
    configuration.pooling = Pooling::sum;
    configuration.outputElement = Float32Type::get(&context);
    configuration.gpuLowering = GPULoweringConfigAttr::get(
        &context, 16, 2, 4, 4, 8, GPUNumerics::fbgemm, 0, 0, 0, 0, 0, 0, false,
        1);
  }

  /// Microseconds of a call under each load.
  using TimeOf = std::function<std::vector<double>(GPULoweringConfigAttr)>;

  FailureOr<GPUTuningEntry> search(const TimeOf &timeOf, double error = 0.002) {
    auto compare = [&](ArrayRef<GPULoweringConfigAttr> lowerings)
        -> FailureOr<std::vector<Times>> {
      std::vector<Times> all;
      std::vector<double> first = timeOf(lowerings[0]);
      for (GPULoweringConfigAttr lowering : lowerings) {
        tried.push_back(lowering);
        Times &times = all.emplace_back();
        for (auto [own, base] : llvm::zip_equal(timeOf(lowering), first))
          times.push_back({own, own / base, error});
      }
      return all;
    };
    return GPULoweringSearch(configuration, compare).run([&](StringRef field) {
      fields.push_back(field.str());
    });
  }

  MLIRContext context;
  BagConfiguration configuration{};
  std::vector<std::string> fields;
  std::vector<GPULoweringConfigAttr> tried;
};

} // namespace

TEST_F(SearchGPULoweringTest, fieldsAreSearchedFromTheBestSoFar) {
  auto timeOf = [](GPULoweringConfigAttr lowering) -> std::vector<double> {
    return {100. + 10 * (lowering.getLanes() != 8) +
            10 * (lowering.getRowsInFlight() != 6)};
  };
  FailureOr<GPUTuningEntry> entry = search(timeOf);
  ASSERT_TRUE(succeeded(entry));
  EXPECT_EQ(entry->lowering.getLanes(), 8);
  EXPECT_EQ(entry->lowering.getUnitsPerLane(), 4);
  EXPECT_EQ(entry->lowering.getRowsInFlight(), 6);
  EXPECT_EQ(entry->model, configuration.gpuLowering);
  ASSERT_EQ(entry->times.size(), 1u);
  EXPECT_EQ(entry->times[0].model, 120);
  EXPECT_NEAR(entry->times[0].tuned, 100, 1e-9);
  EXPECT_EQ(fields.front(), "lanes");
  EXPECT_EQ(fields.back(), "comparing with the cost model");
}

TEST_F(SearchGPULoweringTest, whatIsSlowerUnderALoadIsNotTaken) {
  auto timeOf = [](GPULoweringConfigAttr lowering) -> std::vector<double> {
    bool isWide = lowering.getLanes() == 32;
    return {isWide ? 50. : 100., isWide ? 103. : 100.};
  };
  FailureOr<GPUTuningEntry> entry = search(timeOf);
  ASSERT_TRUE(succeeded(entry));
  EXPECT_EQ(entry->lowering, configuration.gpuLowering);
  EXPECT_EQ(entry->times[0].tuned, 100);
}

TEST_F(SearchGPULoweringTest, aGainUnderOneLoadIsEnough) {
  auto timeOf = [](GPULoweringConfigAttr lowering) -> std::vector<double> {
    return {100, lowering.getForFewBags().getRowsInFlight() == 8 ? 90. : 100.};
  };
  FailureOr<GPUTuningEntry> entry = search(timeOf);
  ASSERT_TRUE(succeeded(entry));
  EXPECT_EQ(entry->lowering.getForFewBags().getRowsInFlight(), 8);
  EXPECT_EQ(entry->times[0].tuned, 100);
  EXPECT_NEAR(entry->times[1].tuned, 90, 1e-9);
}

TEST_F(SearchGPULoweringTest, gainsWithinTheNoiseAreNone) {
  auto timeOf = [](GPULoweringConfigAttr lowering) -> std::vector<double> {
    return {lowering.getLanes() == 8 ? 97. : 100.};
  };
  EXPECT_EQ(search(timeOf, 0.04)->lowering, configuration.gpuLowering);
  EXPECT_EQ(search(timeOf, 0.04)->times[0].noise, 0.04);
  EXPECT_EQ(search(timeOf, 0.02)->lowering.getLanes(), 8);
  // One percent is not worth another schedule, however sure.
  auto little = [](GPULoweringConfigAttr lowering) -> std::vector<double> {
    return {lowering.getLanes() == 8 ? 99.5 : 100.};
  };
  EXPECT_EQ(search(little, 0)->lowering, configuration.gpuLowering);
}

TEST_F(SearchGPULoweringTest, theLastWordIsAComparisonWithTheModelAndACopy) {
  auto timeOf = [](GPULoweringConfigAttr lowering) -> std::vector<double> {
    return {lowering.getLanes() == 8 ? 90. : 100.};
  };
  FailureOr<GPUTuningEntry> entry = search(timeOf);
  ASSERT_GE(tried.size(), 3u);
  EXPECT_THAT(
      ArrayRef(tried).take_back(3),
      ::testing::ElementsAre(entry->model, entry->model, entry->lowering));
}

TEST_F(SearchGPULoweringTest, whatCannotBeComparedEndsTheSearch) {
  GPULoweringSearch search(
      configuration,
      [](auto) -> FailureOr<std::vector<Times>> { return failure(); });
  EXPECT_TRUE(failed(search.run([](StringRef) {})));
}
