//===- TypesTest.cpp - Geometry of rows, and what no text can say ---------===//

#include "trec/IR/TrecDialect.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/Diagnostics.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace mlir::trec;

namespace {

class TypesTest : public ::testing::Test {
protected:
  TypesTest() { context.loadDialect<TrecDialect>(); }

  RowLayoutAttr layout(HeaderType header, int64_t align = 1) {
    return RowLayoutAttr::get(&context, header, align);
  }
  RowType row(int64_t dim, WeightsType weights, int64_t align = 1) {
    bool isFloat = !isQuantized(weights);
    HeaderType header = isFloat ? HeaderType::none : HeaderType::f16;
    return RowType::get(&context, dim, weights, layout(header, align));
  }

  MLIRContext context;
};

TEST_F(TypesTest, rowBytesAreThoseOfFBGEMM) {
  EXPECT_EQ(row(128, WeightsType::int8).getRowBytes(), 132);
  EXPECT_EQ(row(128, WeightsType::int8, 16).getRowBytes(), 144);
  EXPECT_EQ(row(5, WeightsType::int4).getRowBytes(), 4 + 3);
  EXPECT_EQ(row(7, WeightsType::int2).getRowBytes(), 4 + 2);
  EXPECT_EQ(row(3, WeightsType::fp16).getRowBytes(), 6);
  EXPECT_EQ(row(3, WeightsType::fp32, 16).getRowBytes(), 16);
  EXPECT_EQ(row(3, WeightsType::bf16).getRowBytes(), 6);
  EXPECT_EQ(row(3, WeightsType::bf16, 16).getRowBytes(), 16);
  EXPECT_EQ(row(3, WeightsType::fp8).getRowBytes(), 3);
  EXPECT_EQ(row(17, WeightsType::fp8, 16).getRowBytes(), 32);
}

TEST_F(TypesTest, headerAndPaddingAreNoData) {
  RowType quantized = row(5, WeightsType::int4, 16);
  EXPECT_EQ(quantized.getHeaderBytes(), 4);
  EXPECT_EQ(quantized.getDataBytes(), 3);
  RowType floats = row(5, WeightsType::fp16, 16);
  EXPECT_EQ(floats.getHeaderBytes(), 0);
  EXPECT_EQ(floats.getDataBytes(), 10);
}

TEST_F(TypesTest, outputRowsOfBytesAreStoredRowsWithoutPadding) {
  Builder b(&context);
  EXPECT_EQ(row(5, WeightsType::int8, 16).getOutputDim(b.getF16Type()), 5);
  EXPECT_EQ(row(5, WeightsType::int8, 16).getOutputDim(b.getI8Type()), 9);
  EXPECT_EQ(row(5, WeightsType::fp16, 16).getOutputDim(b.getI8Type()), 10);
}

// A dimension list has no sign, so that only C++ can build this one.
TEST_F(TypesTest, negativeRowsAreRefused) {
  std::string message;
  ScopedDiagnosticHandler handler(
      &context, [&](Diagnostic &diagnostic) { message = diagnostic.str(); });
  // !trec.table C1: fewer than no rows.
  auto table = TableType::getChecked(
      [&] { return emitError(UnknownLoc::get(&context)); }, &context,
      int64_t(-5), int64_t(16), WeightsType::int8, layout(HeaderType::f16));
  EXPECT_FALSE(table);
  EXPECT_EQ(message, "expected a number of rows of at least 0, got -5");
}

TEST_F(TypesTest, keysKnowTheirIndex) {
  Builder b(&context);
  auto kjt = KJTType::get(
      &context, {b.getStringAttr("ad"), b.getStringAttr("user")}, false);
  EXPECT_EQ(kjt.getKeyIndex("user"), 1);
  EXPECT_EQ(kjt.getKeyIndex("page"), std::nullopt);
}

} // namespace
