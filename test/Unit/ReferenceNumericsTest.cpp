//===- ReferenceNumericsTest.cpp - Half floats
//------------------------------===//
//
// Against LLVM's own arithmetic: every half, and floats around every half.
//
//===----------------------------------------------------------------------===//

#include "trec/Reference/Numerics.h"

#include "llvm/ADT/APFloat.h"
#include "llvm/ADT/bit.h"
#include "gtest/gtest.h"

#include <cmath>

using namespace mlir::trec;
using llvm::APFloat;
using llvm::APInt;

static uint16_t roundByLLVM(float value) {
  APFloat number(value);
  bool losesInfo;
  number.convert(APFloat::IEEEhalf(), APFloat::rmNearestTiesToEven, &losesInfo);
  return uint16_t(number.bitcastToAPInt().getZExtValue());
}

TEST(ReferenceNumericsTest, WidensEveryHalf) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    APFloat number(APFloat::IEEEhalf(), APInt(16, bits));
    bool losesInfo;
    number.convert(APFloat::IEEEsingle(), APFloat::rmNearestTiesToEven,
                   &losesInfo);
    ASSERT_EQ(llvm::bit_cast<uint32_t>(halfToFloat(uint16_t(bits))),
              uint32_t(number.bitcastToAPInt().getZExtValue()))
        << bits;
  }
}

TEST(ReferenceNumericsTest, RoundsAroundEveryHalfAndTie) {
  for (uint32_t bits = 0; bits < 0xfc00; ++bits) {
    if ((bits & 0x7c00) == 0x7c00)
      continue;
    float low = halfToFloat(uint16_t(bits));
    float high = (bits & 0x7fff) == 0x7bff ? std::copysign(65536.0f, low)
                                           : halfToFloat(uint16_t(bits + 1));
    float tie = low + (high - low) / 2;
    for (float value : {low, tie, std::nextafter(tie, 0.0f),
                        std::nextafter(tie, std::copysign(INFINITY, low))})
      ASSERT_EQ(floatToHalf(value), roundByLLVM(value)) << value;
  }
}

TEST(ReferenceNumericsTest, RoundsSpecials) {
  for (float value : {0.0f, -0.0f, 1e-45f, -1e-30f, 1e30f, -1e30f, INFINITY,
                      -INFINITY, 65519.996f, 65520.0f})
    EXPECT_EQ(floatToHalf(value), roundByLLVM(value)) << value;
  // Payloads are cut off, and NaNs become quiet, as vcvtps2ph does it.
  EXPECT_EQ(floatToHalf(llvm::bit_cast<float>(0x7fc02000u)), 0x7e01);
  EXPECT_EQ(floatToHalf(llvm::bit_cast<float>(0xff800001u)), 0xfe00);
}

TEST(ReferenceNumericsTest, WidensBFloat16) {
  EXPECT_EQ(bfloat16ToFloat(0x3f80), 1.0f);
  EXPECT_EQ(bfloat16ToFloat(0xc040), -3.0f);
  EXPECT_EQ(bfloat16ToFloat(0x0001), std::ldexp(1.0f, -133));
  EXPECT_TRUE(std::signbit(bfloat16ToFloat(0x8000)));
  EXPECT_EQ(bfloat16ToFloat(0xff80), -INFINITY);
  EXPECT_TRUE(std::isnan(bfloat16ToFloat(0x7fc0)));
}

TEST(ReferenceNumericsTest, WidensFloat8AsFBGEMM) {
  EXPECT_EQ(float8ToFloat(0x38), 1.0f);
  EXPECT_EQ(float8ToFloat(0xbc), -1.5f);
  EXPECT_EQ(float8ToFloat(0x01), std::ldexp(1.0f, -9));
  EXPECT_EQ(float8ToFloat(0x07), 7 * std::ldexp(1.0f, -9));
  EXPECT_EQ(float8ToFloat(0x08), std::ldexp(1.0f, -6));
  EXPECT_TRUE(std::signbit(float8ToFloat(0x80)));
  // Where IEEE's formats have infinity and NaN this one has numbers.
  EXPECT_EQ(float8ToFloat(0x78), 256.0f);
  EXPECT_EQ(float8ToFloat(0xff), -480.0f);
  // Each number lies above the one before.
  for (int bits = 1; bits < 0x80; ++bits)
    EXPECT_GT(float8ToFloat(uint8_t(bits)), float8ToFloat(uint8_t(bits - 1)));
}

TEST(ReferenceNumericsTest, RoundsToBFloat16AsFBGEMM) {
  EXPECT_EQ(floatToBFloat16(1.0f), 0x3f80);
  EXPECT_EQ(floatToBFloat16(1.00390625f), 0x3f81); // a tie; IEEE gives 0x3f80
  EXPECT_EQ(floatToBFloat16(-1.00390625f), 0xbf81);
  EXPECT_EQ(floatToBFloat16(INFINITY), 0x7f80);
  EXPECT_EQ(floatToBFloat16(llvm::bit_cast<float>(0x7fffffffu)), 0x8000);
  EXPECT_EQ(floatToBFloat16(llvm::bit_cast<float>(0xffffffffu)), 0x0000);
}
