// float16 and bfloat16 in software: storage types that convert to and from float.
//
// Both round to nearest, ties to even; NaN stays NaN (quiet), overflow goes to infinity, denormals
// are kept. That is what Metal's `half(x)` and `bfloat(x)` do and what Paddle's CPU conversions do,
// so a value stored by one device compares equal on another.
#pragma once

#include <cstdint>
#include <cstring>

namespace mps {

inline uint32_t float_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float bits_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// The two conversions avoid branches so that a compiler can vectorise a loop over them.
inline float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  // Shift the exponent and mantissa into place, then fix the bias by a multiplication, which also
  // normalises denormals: 2^112 = 2^(127 - 15).
  const float normal = bits_float(magnitude << 13) * bits_float(0x77800000u);
  const uint32_t special = bits_float(magnitude << 13) >= bits_float(0x0f800000u) ? 0x7f800000u : 0u;
  return bits_float(float_bits(normal) | special | sign);
}

inline uint16_t float_to_half(float value) {
  const uint32_t bits = float_bits(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  // Denormal results: adding a power of two lets the hardware round at the right bit.
  const uint32_t denormal = float_bits(bits_float(magnitude) + 0.5f) - 0x3f000000u;
  const uint32_t odd = (magnitude >> 13) & 1u;
  const uint32_t normal = (magnitude + 0xc8000fffu + odd) >> 13;  // rebias by -112 and round half to even
  uint32_t result = magnitude < 0x38800000u ? denormal : normal;
  result = magnitude >= 0x477ff000u ? 0x7c00u : result;  // 65520 and above round to infinity
  result = magnitude > 0x7f800000u ? 0x7e00u : result;
  return static_cast<uint16_t>(result | sign);
}

inline float bfloat16_to_float(uint16_t value) { return bits_float(static_cast<uint32_t>(value) << 16); }

inline uint16_t float_to_bfloat16(float value) {
  const uint32_t bits = float_bits(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  return static_cast<uint16_t>(is_nan ? ((bits >> 16) | 0x40u) : rounded);
}

struct Half {
  uint16_t bits = 0;
  Half() = default;
  explicit Half(float value) : bits(float_to_half(value)) {}
  explicit operator float() const { return half_to_float(bits); }
};

struct BFloat16 {
  uint16_t bits = 0;
  BFloat16() = default;
  explicit BFloat16(float value) : bits(float_to_bfloat16(value)) {}
  explicit operator float() const { return bfloat16_to_float(bits); }
};

}  // namespace mps
