// Numbers from the host on their way into a dtype.
#include "plugin/core/scalar.h"

#include <gtest/gtest.h>

#include <cmath>

namespace mps {
namespace {

TEST(Scalar, BitsOfFloats) {
  EXPECT_EQ(Scalar(1.5).bits(DType::float32), 0x3fc00000u);
  EXPECT_EQ(Scalar(1.5).bits(DType::float16), 0x3e00u);
  EXPECT_EQ(Scalar(1.5).bits(DType::bfloat16), 0x3fc0u);
  EXPECT_EQ(Scalar(-0.0).bits(DType::float32), 0x80000000u);
  EXPECT_EQ(Scalar(int64_t{3}).bits(DType::float32), 0x40400000u);
  EXPECT_EQ(Scalar(1e300).bits(DType::float32), 0x7f800000u);
}

TEST(Scalar, BitsOfIntegers) {
  EXPECT_EQ(Scalar(-1).bits(DType::int8), 0xffu);
  EXPECT_EQ(Scalar(-1).bits(DType::int64), UINT64_MAX);
  EXPECT_EQ(Scalar(300).bits(DType::uint8), 44u);  // wraps
  EXPECT_EQ(Scalar(2.9).bits(DType::int32), 2u);
  EXPECT_EQ(Scalar(INT64_MAX).bits(DType::int64), static_cast<uint64_t>(INT64_MAX));  // not through a double
}

TEST(Scalar, BitsOfBools) {
  EXPECT_EQ(Scalar(true).bits(DType::bool_), 1u);
  EXPECT_EQ(Scalar(0).bits(DType::bool_), 0u);
  EXPECT_EQ(Scalar(256).bits(DType::bool_), 1u);
  EXPECT_EQ(Scalar(0.25).bits(DType::bool_), 1u);
  EXPECT_EQ(Scalar(std::nan("")).bits(DType::bool_), 1u);
}

TEST(Scalar, FloatsBecomeIntegersByTruncationAndSaturate) {
  EXPECT_EQ(Scalar(-2.9).to_int64(), -2);
  EXPECT_EQ(Scalar(1e30).to_int64(), INT64_MAX);
  EXPECT_EQ(Scalar(-1e30).to_int64(), INT64_MIN);
  EXPECT_EQ(Scalar(9223372036854775808.0).to_int64(), INT64_MAX);
  EXPECT_EQ(Scalar(std::nan("")).to_int64(), 0);
}

TEST(Scalar, ToDouble) {
  EXPECT_EQ(Scalar(0.1f).to_double(), static_cast<double>(0.1f));
  EXPECT_EQ(Scalar(7).to_double(), 7.0);
}

}  // namespace
}  // namespace mps
