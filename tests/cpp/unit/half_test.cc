// float16 and bfloat16: every value, and every border between two.
#include "plugin/core/half.h"

#include <gtest/gtest.h>

#include <cmath>

namespace mps {
namespace {

// What the bits mean, by the definition of the format.
double meaning_of_half(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) return mantissa != 0 ? std::nan("") : sign * HUGE_VAL;
  return sign * (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25));
}

TEST(Half, EveryValueMeansWhatTheFormatSays) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const double want = meaning_of_half(static_cast<uint16_t>(bits));
    const float got = half_to_float(static_cast<uint16_t>(bits));
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(got)) << bits;
    } else {
      ASSERT_EQ(got, static_cast<float>(want)) << bits;
      ASSERT_EQ(std::signbit(got), (bits & 0x8000) != 0) << bits;
    }
  }
}

TEST(Half, EveryValueSurvivesAsFloat) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = half_to_float(static_cast<uint16_t>(bits));
    const uint16_t back = float_to_half(value);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(half_to_float(back))) << bits;
    } else {
      ASSERT_EQ(back, bits);
    }
  }
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const uint16_t low = static_cast<uint16_t>(bits), high = static_cast<uint16_t>(bits + 1);
    // Beyond the largest number lies infinity, as if it were 65536.
    const double upper = high == 0x7c00 ? 65536.0 : meaning_of_half(high);
    const float middle = static_cast<float>((meaning_of_half(low) + upper) / 2);
    ASSERT_EQ(float_to_half(middle), (low & 1) == 0 ? low : high) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 0.0f)), low) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, 1e30f)), high) << bits;
    ASSERT_EQ(float_to_half(-middle), ((low & 1) == 0 ? low : high) | 0x8000) << bits;
  }
}

TEST(Half, LargeAndSpecialFloats) {
  EXPECT_EQ(float_to_half(HUGE_VALF), 0x7c00);
  EXPECT_EQ(float_to_half(-HUGE_VALF), 0xfc00);
  EXPECT_EQ(float_to_half(1e30f), 0x7c00);
  EXPECT_EQ(float_to_half(0.0f), 0);
  EXPECT_EQ(float_to_half(-0.0f), 0x8000);
  EXPECT_EQ(float_to_half(1e-40f), 0);
  EXPECT_TRUE(std::isnan(half_to_float(float_to_half(bits_float(0x7f800001)))));
}

TEST(BFloat16, EveryValueSurvivesAsFloat) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = bfloat16_to_float(static_cast<uint16_t>(bits));
    ASSERT_EQ(float_bits(value), bits << 16);
    const uint16_t back = float_to_bfloat16(value);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(bfloat16_to_float(back))) << bits;
    } else {
      ASSERT_EQ(back, bits);
    }
  }
}

TEST(BFloat16, RoundsToTheNearestAndTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7f80; ++bits) {
    const uint32_t middle = (bits << 16) + 0x8000;  // half way to the next, infinity included
    ASSERT_EQ(float_to_bfloat16(bits_float(middle)), (bits & 1) == 0 ? bits : bits + 1);
    ASSERT_EQ(float_to_bfloat16(bits_float(middle - 1)), bits);
    ASSERT_EQ(float_to_bfloat16(bits_float(middle + 1)), bits + 1);
  }
}

TEST(BFloat16, NanStaysNan) {
  // A NaN whose mantissa lies in the bits that are dropped.
  EXPECT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(bits_float(0x7f800001)))));
  EXPECT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(bits_float(0xffffffff)))));
}

}  // namespace
}  // namespace mps
