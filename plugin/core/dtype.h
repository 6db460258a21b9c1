// The dtype table as code. `dtype.def` holds the facts; this file only expands it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plugin/core/half.h"

namespace mps {

enum class DType : uint8_t {
#define MPS_DTYPE(enumerator, ...) enumerator,
#include "plugin/core/dtype.def"
#undef MPS_DTYPE
};

enum class DTypeKind : uint8_t { kBool, kUnsigned, kSigned, kFloat };

inline constexpr int kDTypeCount = 0
#define MPS_DTYPE(...) +1
#include "plugin/core/dtype.def"
#undef MPS_DTYPE
    ;

struct DTypeInfo {
  const char* name;
  size_t bytes;
  DTypeKind kind;
  const char* metal_name;
};

inline constexpr DTypeInfo kDTypeInfos[kDTypeCount] = {
#define MPS_DTYPE(enumerator, name, bytes, kind, host_type, metal_name, ...) {name, bytes, DTypeKind::kind, metal_name},
#include "plugin/core/dtype.def"
#undef MPS_DTYPE
};

constexpr const DTypeInfo& info(DType dtype) { return kDTypeInfos[static_cast<int>(dtype)]; }
constexpr const char* name(DType dtype) { return info(dtype).name; }
constexpr size_t size_of(DType dtype) { return info(dtype).bytes; }
constexpr bool is_float(DType dtype) { return info(dtype).kind == DTypeKind::kFloat; }
constexpr bool is_integer(DType dtype) {
  return info(dtype).kind == DTypeKind::kSigned || info(dtype).kind == DTypeKind::kUnsigned;
}

// The dtype whose elements the host device holds as T.
template <typename T>
inline constexpr DType kDTypeOf = DType::bool_;
#define MPS_DTYPE(enumerator, name, bytes, kind, host_type, ...) \
  template <>                                                    \
  inline constexpr DType kDTypeOf<host_type> = DType::enumerator;
#include "plugin/core/dtype.def"
#undef MPS_DTYPE

// Calls `f` with a value-initialised host value of the dtype's C++ type: `visit(dtype, [&](auto
// zero) {...})`.
template <typename F>
auto visit(DType dtype, F&& f) {
  switch (dtype) {
#define MPS_DTYPE(enumerator, name, bytes, kind, host_type, ...) \
  case DType::enumerator:                                        \
    return f(host_type{});
#include "plugin/core/dtype.def"
#undef MPS_DTYPE
  }
  __builtin_unreachable();  // the table is closed: every enumerator has a row
}

}  // namespace mps
