// Arrays for tests of the host's fast path, and the specification's answer for a graph over them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "plugin/core/device.h"
#include "plugin/host/reference_host.h"

namespace mps::test {

// Owns the elements of one array.
class Array {
 public:
  Array() = default;
  Array(DType dtype, int64_t elements) : dtype_(dtype), bytes_(static_cast<size_t>(elements) * size_of(dtype)) {}

  DType dtype() const { return dtype_; }
  char* data() { return bytes_.data(); }
  const char* data() const { return bytes_.data(); }
  size_t bytes() const { return bytes_.size(); }
  int64_t elements() const { return static_cast<int64_t>(bytes_.size() / size_of(dtype_)); }

  // Random elements: mostly ordinary numbers, with zeros, infinities, NaN, denormals and extreme integers between them.
  void randomize(std::mt19937& random) {
    const auto up_to = [&](uint32_t end) { return static_cast<uint32_t>(random() % end); };
    visit(dtype_, [&](auto zero) {
      using T = decltype(zero);
      for (int64_t i = 0; i < elements(); ++i) {
        T value{};
        if constexpr (std::is_same_v<T, bool>) {
          value = up_to(2) == 1;
        } else if constexpr (std::is_integral_v<T>) {
          value = up_to(8) == 0 ? static_cast<T>((uint64_t{random()} << 32) | random())
                                : static_cast<T>(static_cast<int64_t>(up_to(17)) - 8);
        } else {
          const float specials[] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-40f, -3e-7f, 65520.0f, -3e38f, 1.0f};
          const float ordinary = (static_cast<float>(up_to(20001)) - 10000.0f) / 700.0f;
          value = static_cast<T>(up_to(12) == 0 ? specials[up_to(10)] : ordinary);
        }
        std::memcpy(data() + i * static_cast<int64_t>(sizeof value), &value, sizeof value);
      }
    });
  }

 private:
  DType dtype_ = DType::float32;
  std::vector<char> bytes_;
};

// The graph's results as the specification computes them.
inline std::vector<Array> reference(const Graph& graph, std::vector<Array>& feeds) {
  std::vector<Array> results;
  for (uint32_t node : graph.results()) results.emplace_back(graph.dtype(Value{node}), graph.elements(Value{node}));
  const auto bind = [](std::vector<Array>& arrays) {
    std::vector<HostBinding> bindings;
    for (Array& array : arrays) {
      HostBinding binding;
      binding.address = array.data();
      binding.bytes = array.bytes();
      std::memcpy(&binding.scalar_bits, array.data(), std::min(array.bytes(), sizeof binding.scalar_bits));
      bindings.push_back(binding);
    }
    return bindings;
  };
  compile_reference(graph)->run(bind(feeds), bind(results));
  return results;
}

// Where two arrays differ in a bit; "" if nowhere. One NaN is as good as another.
inline std::string difference(const Array& got, const Array& expected) {
  if (got.dtype() != expected.dtype() || got.bytes() != expected.bytes()) return "different dtypes or sizes";
  std::string text;
  visit(got.dtype(), [&](auto zero) {
    using T = decltype(zero);
    for (int64_t i = 0; text.empty() && i < got.elements(); ++i) {
      T x, y;
      std::memcpy(&x, got.data() + i * static_cast<int64_t>(sizeof x), sizeof x);
      std::memcpy(&y, expected.data() + i * static_cast<int64_t>(sizeof y), sizeof y);
      if (std::memcmp(&x, &y, sizeof x) == 0) continue;
      const double a = static_cast<double>(static_cast<float>(x)), b = static_cast<double>(static_cast<float>(y));
      if (is_float(got.dtype()) && a != a && b != b) continue;
      text = std::string(name(got.dtype())) + " element " + std::to_string(i) + " of " +
             std::to_string(got.elements()) + ": got " + std::to_string(a) + ", expected " + std::to_string(b);
    }
  });
  return text;
}

}  // namespace mps::test
