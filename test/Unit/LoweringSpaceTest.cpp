//===- LoweringSpaceTest.cpp - What a tuner may choose --------------------===//

#include "trec/Transforms/LoweringSpace.h"
#include "trec/Conversion/RowVectors.h"

#include "llvm/ADT/STLExtras.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace mlir::trec;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

namespace {

class LoweringSpaceTest : public ::testing::Test {
protected:
  LoweringSpaceTest() : context(MLIRContext::Threading::DISABLED) {
    context.loadDialect<TrecDialect>();
  }

  LoweringSubject makeSubject(WeightsType weights, int64_t dim,
                              SizeClass size = SizeClass::memory,
                              StringRef level = "x86-64-v4") {
    bool isFloat = weights == WeightsType::fp32 || weights == WeightsType::fp16;
    auto layout = RowLayoutAttr::get(
        &context, isFloat ? HeaderType::none : HeaderType::f16, 16);
    return {RowType::get(&context, dim, weights, layout), std::nullopt, size,
            findCPULevel(level)};
  }
  LoweringConfigAttr makeLowering(int64_t width, int64_t accumulators,
                                  int64_t far = 64) {
    return LoweringConfigAttr::get(&context, width, accumulators, 8, far,
                                   far ? 4 : 1, 1, UnpackMode::convert,
                                   HeaderMode::registers, FmaMode::hardware,
                                   HalfMode::hardware, RowArithmetic::in_order,
                                   Numerics::fbgemm, StoreMode::cached, 0);
  }
  std::vector<int64_t> list(const LoweringSubject &subject, LoweringField field,
                            LoweringConfigAttr lowering) {
    std::vector<int64_t> values;
    for (LoweringConfigAttr other :
         listAlternatives(subject, field, lowering)) {
      EXPECT_NE(other, lowering);
      values.push_back(getField(other, field));
      EXPECT_EQ(withField(lowering, field, values.back()), other);
    }
    return values;
  }

  MLIRContext context;
};

} // namespace

TEST_F(LoweringSpaceTest, rowsFromMemoryAreFetchedFarAhead) {
  LoweringSubject subject = makeSubject(WeightsType::int8, 128);
  LoweringConfigAttr lowering = makeLowering(16, 24);
  EXPECT_THAT(list(subject, LoweringField::farDistance, lowering),
              ElementsAre(0, 32, 128));
  EXPECT_THAT(list(subject, LoweringField::farGroup, lowering),
              ElementsAre(1, 16, 64));
  EXPECT_THAT(list(subject, LoweringField::farGroup,
                   withField(lowering, LoweringField::farGroup, 0)),
              ElementsAre(1, 4, 16, 64));
  EXPECT_THAT(list(subject, LoweringField::prefetchDistance, lowering),
              ElementsAre(0, 4, 16, 32));
  // Without the far step the near one is needed, and nothing is in groups.
  EXPECT_THAT(list(subject, LoweringField::farGroup, makeLowering(16, 24, 0)),
              IsEmpty());
  EXPECT_THAT(
      list(subject, LoweringField::prefetchDistance, makeLowering(16, 24, 0)),
      ElementsAre(4, 16, 32));
}

TEST_F(LoweringSpaceTest, rowsTakenAtOnceAreAGroup) {
  LoweringSubject subject = makeSubject(WeightsType::int8, 128);
  LoweringConfigAttr lowering = makeLowering(16, 24);
  EXPECT_THAT(list(subject, LoweringField::rowsAtOnce, lowering),
              ElementsAre(2, 4, 8));
  LoweringConfigAttr four =
      withField(lowering, LoweringField::rowsAtOnce, /*value=*/4);
  EXPECT_EQ(four.getFarGroup(), 1);
  EXPECT_THAT(list(subject, LoweringField::rowsAtOnce, four),
              ElementsAre(1, 2, 8));
  EXPECT_THAT(list(subject, LoweringField::farGroup, four), IsEmpty());
  subject.remap = MapKind::array;
  EXPECT_THAT(list(subject, LoweringField::rowsAtOnce, lowering), IsEmpty());
}

TEST_F(LoweringSpaceTest, cachedTablesAreFetchedInOneStepOrNone) {
  LoweringSubject subject =
      makeSubject(WeightsType::int8, 128, SizeClass::secondLevel);
  LoweringConfigAttr lowering = makeLowering(16, 24, 0);
  EXPECT_THAT(list(subject, LoweringField::farDistance, lowering), IsEmpty());
  EXPECT_THAT(list(subject, LoweringField::prefetchDistance, lowering),
              ElementsAre(0, 4, 16, 32));
}

TEST_F(LoweringSpaceTest, idsThatAreSearchedForAreKnownLate) {
  LoweringSubject subject = makeSubject(WeightsType::int8, 128);
  subject.remap = MapKind::sorted;
  LoweringConfigAttr lowering = makeLowering(16, 24, 0);
  EXPECT_THAT(list(subject, LoweringField::farDistance, lowering), IsEmpty());
  EXPECT_THAT(list(subject, LoweringField::prefetchDistance, lowering),
              ElementsAre(4));
  subject.remap = MapKind::hash_table;
  EXPECT_THAT(list(subject, LoweringField::farDistance, lowering), IsEmpty());
  subject.remap = MapKind::array;
  EXPECT_THAT(list(subject, LoweringField::farDistance, lowering),
              ElementsAre(32, 64, 128));
}

TEST_F(LoweringSpaceTest, headersGoByMemoryWhereTheLevelCan) {
  LoweringConfigAttr lowering = makeLowering(8, 8);
  for (StringRef level : {"x86-64-v3", "x86-64-v4"})
    EXPECT_THAT(
        list(makeSubject(WeightsType::int8, 64, SizeClass::memory, level),
             LoweringField::header, lowering),
        ElementsAre(int64_t(HeaderMode::memory)));
  for (StringRef level : {"x86-64-v2", "armv8-a", "sve-512"})
    EXPECT_THAT(
        list(makeSubject(WeightsType::int8, 64, SizeClass::memory, level),
             LoweringField::header, lowering),
        IsEmpty());
  EXPECT_THAT(
      list(makeSubject(WeightsType::fp16, 64), LoweringField::header, lowering),
      IsEmpty());
}

TEST_F(LoweringSpaceTest, codesAreLookedUpWhereTheLevelCan) {
  LoweringConfigAttr wide = makeLowering(16, 24), narrow = makeLowering(8, 8);
  EXPECT_THAT(
      list(makeSubject(WeightsType::int4, 64), LoweringField::unpack, wide),
      ElementsAre(int64_t(UnpackMode::lookup), int64_t(UnpackMode::spread),
                  int64_t(UnpackMode::spread_lookup)));
  EXPECT_THAT(
      list(makeSubject(WeightsType::int8, 64), LoweringField::unpack, wide),
      IsEmpty());
  for (auto weights : {WeightsType::int4, WeightsType::int2}) {
    LoweringSubject subject =
        makeSubject(weights, 64, SizeClass::memory, "x86-64-v3");
    EXPECT_EQ(list(subject, LoweringField::unpack, narrow).size(),
              weights == WeightsType::int2 ? 3u : 1u);
  }
  // A row of few bytes has few lanes, and no CPU before AVX2 shifts each.
  EXPECT_THAT(
      list(makeSubject(WeightsType::int4, 8), LoweringField::unpack, wide),
      ElementsAre(int64_t(UnpackMode::spread)));
  EXPECT_THAT(
      list(makeSubject(WeightsType::int4, 8, SizeClass::memory, "x86-64-v2"),
           LoweringField::unpack, makeLowering(4, 8)),
      IsEmpty());
}

TEST_F(LoweringSpaceTest, accumulatorsAreThoseOfSomePasses) {
  // 32 vectors: all at once, or 16, 11 or 8 in a pass.
  EXPECT_THAT(list(makeSubject(WeightsType::int8, 512),
                   LoweringField::accumulators, makeLowering(16, 24)),
              ElementsAre(32, 16, 11, 8));
  // Eight vectors fit at once, whatever there is beyond them.
  EXPECT_THAT(list(makeSubject(WeightsType::int8, 128),
                   LoweringField::accumulators, makeLowering(16, 24)),
              ElementsAre(4));
  // Pieces of INT2 have four accumulators each.
  EXPECT_THAT(list(makeSubject(WeightsType::int2, 512),
                   LoweringField::accumulators, makeLowering(16, 24)),
              ElementsAre(32, 16, 12, 8));
  EXPECT_THAT(list(makeSubject(WeightsType::int8, 16),
                   LoweringField::accumulators, makeLowering(16, 24)),
              IsEmpty());
}

TEST_F(LoweringSpaceTest, spreadCodesHaveOneAccumulatorForEachVector) {
  RowType row = makeSubject(WeightsType::int2, 100).row;
  LoweringConfigAttr bytes = makeLowering(16, 24);
  LoweringConfigAttr spread =
      withField(bytes, LoweringField::unpack, int64_t(UnpackMode::spread));
  RowVectors ofBytes = cutIntoVectors(row, bytes);
  EXPECT_EQ(ofBytes.lanes, 16);
  EXPECT_EQ(ofBytes.perPiece, 4);
  EXPECT_EQ(ofBytes.pieces, 2);
  LoweringConfigAttr lookedUp = withField(bytes, LoweringField::unpack,
                                          int64_t(UnpackMode::spread_lookup));
  for (LoweringConfigAttr lowering : {spread, lookedUp}) {
    RowVectors ofCodes = cutIntoVectors(row, lowering);
    EXPECT_EQ(ofCodes.lanes, 16);
    EXPECT_EQ(ofCodes.perPiece, 1);
    EXPECT_EQ(ofCodes.pieces, 7);
  }
}

TEST_F(LoweringSpaceTest, vectorsAreTheLevelsOrHalfOfThem) {
  EXPECT_THAT(list(makeSubject(WeightsType::fp16, 64),
                   LoweringField::vectorWidth, makeLowering(16, 24)),
              ElementsAre(8));
  EXPECT_THAT(list(makeSubject(WeightsType::fp16, 8),
                   LoweringField::vectorWidth, makeLowering(16, 24)),
              IsEmpty());
}

TEST_F(LoweringSpaceTest, rowsThatAreCopiedHaveNoArithmetic) {
  LoweringSubject subject = makeSubject(WeightsType::int4, 512);
  subject.copiesRows = true;
  LoweringConfigAttr lowering = makeLowering(16, 24);
  EXPECT_THAT(list(subject, LoweringField::unpack, lowering), IsEmpty());
  EXPECT_THAT(list(subject, LoweringField::header, lowering), IsEmpty());
  EXPECT_THAT(list(subject, LoweringField::accumulators, lowering), IsEmpty());
  EXPECT_THAT(list(subject, LoweringField::rowsAtOnce, lowering), IsEmpty());
  EXPECT_THAT(list(subject, LoweringField::farDistance, lowering),
              ElementsAre(0, 32, 128));
}

TEST_F(LoweringSpaceTest, misfitsAreNamed) {
  RowType row = makeSubject(WeightsType::int4, 64).row;
  const CPULevel &level = *findCPULevel("x86-64-v3");
  EXPECT_EQ(findMisfit(makeLowering(4, 16, 0), row, level), std::nullopt);
  EXPECT_EQ(findMisfit(makeLowering(16, 16), row, level),
            "its vectors are wider than the 8 lanes of x86-64-v3");
  EXPECT_EQ(findMisfit(withField(makeLowering(8, 8), LoweringField::unpack,
                                 int64_t(UnpackMode::lookup)),
                       row, level),
            "x86-64-v3 cannot look up codes of this type");
  EXPECT_EQ(findMisfit(withField(makeLowering(4, 8), LoweringField::unpack,
                                 int64_t(UnpackMode::spread)),
                       row, *findCPULevel("x86-64-v2")),
            "x86-64-v2 cannot spread codes");
  EXPECT_EQ(findMisfit(withField(makeLowering(8, 8), LoweringField::unpack,
                                 int64_t(UnpackMode::spread_lookup)),
                       row, *findCPULevel("sve-256")),
            "sve-256 cannot look up codes of this type");
  EXPECT_EQ(findMisfit(withField(makeLowering(4, 8), LoweringField::header,
                                 int64_t(HeaderMode::memory)),
                       row, *findCPULevel("sve-512")),
            "sve-512 cannot load headers into all lanes");
}

TEST_F(LoweringSpaceTest, aScheduleBringsNoArithmetic) {
  auto model = LoweringConfigAttr::get(
      &context, 8, 8, 8, 64, 4, 1, UnpackMode::convert, HeaderMode::registers,
      FmaMode::library, HalfMode::integer, RowArithmetic::bias_once,
      Numerics::relaxed, StoreMode::cached, 0);
  LoweringConfigAttr taken = takeSchedule(makeLowering(4, 16, 0), model);
  EXPECT_EQ(taken, LoweringConfigAttr::get(
                       &context, 4, 16, 8, 0, 1, 1, UnpackMode::convert,
                       HeaderMode::registers, FmaMode::library,
                       HalfMode::integer, RowArithmetic::bias_once,
                       Numerics::relaxed, StoreMode::cached, 0));
}

TEST_F(LoweringSpaceTest, sizesAreTheCaches) {
  EXPECT_EQ(getSizeClass(0), SizeClass::secondLevel);
  EXPECT_EQ(getSizeClass(1 << 18), SizeClass::secondLevel);
  EXPECT_EQ(getSizeClass((1 << 18) + 1), SizeClass::lastLevel);
  EXPECT_EQ(getSizeClass(1 << 25), SizeClass::lastLevel);
  EXPECT_EQ(getSizeClass((1 << 25) + 1), SizeClass::memory);
  TableType unknown =
      TableType::get(&context, ShapedType::kDynamic, 16, WeightsType::int8,
                     RowLayoutAttr::get(&context, HeaderType::f16, 16));
  EXPECT_EQ(getSizeClass(getTableBytes(unknown)), SizeClass::memory);
}
