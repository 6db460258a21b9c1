// Kernel registration from tables.
//
//   void add(const CustomContext&, const DenseTensor& x, const DenseTensor& y, DenseTensor* out);
//   MPS_KERNEL(add, phi::AddKernel, add, kAllDTypes)
//
// registers `add` as Paddle's kernel `add` on mps for every dtype of the set. One function serves
// all dtypes: the graph takes them from the tensors. Paddle calls a kernel through an erased
// pointer, so a wrong parameter list would corrupt memory; the macro therefore compares the
// function's type with that of Paddle's own declaration, and the compiler refuses a difference.
//
// Rows are collected by static constructors of this library and handed to Paddle by
// register_kernels(), which InitPlugin calls only if the process can use them.
#pragma once

#include <initializer_list>
#include <type_traits>
#include <utility>
#include <vector>

#include "paddle/phi/backends/custom/custom_context.h"
#include "paddle/phi/core/dense_tensor.h"
#include "paddle/phi/core/kernel_registry.h"
#include "paddle/phi/core/selected_rows.h"
#include "plugin/paddle/allocator.h"
#include "plugin/paddle/guard.h"
#include "plugin/paddle/op_counts.h"
#include "plugin/paddle/results.h"
#include "plugin/paddle/thread_context.h"

namespace mps::paddle {

using DTypes = std::initializer_list<phi::DataType>;

inline constexpr DTypes kFloat32 = {phi::DataType::FLOAT32};
inline constexpr DTypes kFloats = {phi::DataType::FLOAT32, phi::DataType::FLOAT16, phi::DataType::BFLOAT16};
inline constexpr DTypes kFloatsAndInts = {phi::DataType::FLOAT32, phi::DataType::FLOAT16, phi::DataType::BFLOAT16,
                                          phi::DataType::INT32, phi::DataType::INT64};
inline constexpr DTypes kNumbers = {phi::DataType::FLOAT32, phi::DataType::FLOAT16, phi::DataType::BFLOAT16,
                                    phi::DataType::INT32,   phi::DataType::INT64,   phi::DataType::UINT8,
                                    phi::DataType::INT8,    phi::DataType::INT16};
inline constexpr DTypes kAllDTypes = {phi::DataType::FLOAT32, phi::DataType::FLOAT16, phi::DataType::BFLOAT16,
                                      phi::DataType::INT32,   phi::DataType::INT64,   phi::DataType::UINT8,
                                      phi::DataType::INT8,    phi::DataType::INT16,   phi::DataType::BOOL};
// Also complex64, which moves as an integer of its size (dtype_of).
inline constexpr DTypes kMovedDTypes = {phi::DataType::FLOAT32,  phi::DataType::FLOAT16, phi::DataType::BFLOAT16,
                                        phi::DataType::INT32,    phi::DataType::INT64,   phi::DataType::UINT8,
                                        phi::DataType::INT8,     phi::DataType::INT16,   phi::DataType::BOOL,
                                        phi::DataType::COMPLEX64};
// Also types that no Metal kernel computes with: for kernels that only move elements.
inline constexpr DTypes kEveryPaddleDType = {
    phi::DataType::FLOAT32,    phi::DataType::FLOAT16,   phi::DataType::BFLOAT16,   phi::DataType::INT32,
    phi::DataType::INT64,      phi::DataType::UINT8,     phi::DataType::INT8,       phi::DataType::INT16,
    phi::DataType::BOOL,       phi::DataType::FLOAT64,   phi::DataType::UINT16,     phi::DataType::UINT32,
    phi::DataType::UINT64,     phi::DataType::COMPLEX64, phi::DataType::COMPLEX128, phi::DataType::FLOAT8_E4M3FN,
    phi::DataType::FLOAT8_E5M2};

// What a kernel takes: tensors of these dtypes; dense ones, unless it says views_of(dtypes).
struct Takes {
  constexpr Takes(DTypes of, bool as_views = false) : dtypes(of), are_views(as_views) {}  // NOLINT: implicit
  DTypes dtypes;
  bool are_views;
};

// For kernels that read their tensors by strides, where Paddle would make a dense copy of a view first. Whatever goes
// through Recorder's input() and output() does; what looks at data() itself does not. Results are dense all the same,
// and in place Paddle keeps to what is dense, too.
constexpr Takes views_of(DTypes dtypes) { return {dtypes, true}; }

// For results that are not of the dtype that the kernel is for.
inline void give_bool(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::BOOL);
}
inline void give_int64(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::INT64);
}

struct KernelRow {
  const char* name;
  Takes takes;
  phi::KernelArgsParseFn parse;
  phi::KernelArgsDefFn define;  // dtypes of outputs that are not the kernel's own
  phi::KernelFn boxed;          // called by PIR
  void* typed;                  // called by eager mode
};

void add_kernel_row(const KernelRow& row);
// Hands every row to Paddle. Called once.
void register_kernels();

namespace detail {

// The dtype to count a call under: that of the first tensor.
inline phi::DataType first_dtype() { return phi::DataType::UNDEFINED; }
template <typename First, typename... Rest>
phi::DataType first_dtype(const First& first, const Rest&... rest) {
  using T = std::remove_cv_t<std::remove_reference_t<First>>;
  if constexpr (std::is_same_v<T, phi::DenseTensor>) {
    return first.dtype();
  } else if constexpr (std::is_same_v<T, phi::SelectedRows>) {
    return first.value().dtype();
  } else if constexpr (std::is_same_v<T, phi::DenseTensor*>) {
    if (first != nullptr) return first->dtype();
  } else if constexpr (std::is_same_v<T, std::vector<const phi::DenseTensor*>> ||
                       std::is_same_v<T, std::vector<phi::DenseTensor*>>) {
    if (!first.empty() && first[0] != nullptr) return first[0]->dtype();
  }
  return first_dtype(rest...);
}

// As first_dtype, of what comes after the first `skipped` arguments.
template <int kSkipped, typename First, typename... Rest>
phi::DataType key_dtype(const First& first, const Rest&... rest) {
  if constexpr (kSkipped == 0) {
    return first_dtype(first, rest...);
  } else {
    return key_dtype<kSkipped - 1>(rest...);
  }
}

// Row: a type with kName, kFunction, kKey and counter().
template <typename Row, typename Function>
struct Thunk;
template <typename Row, typename... Args>
struct Thunk<Row, void (*)(const phi::CustomContext&, Args...)> {
  static void call(const phi::CustomContext& ctx, Args... args) {
    OpScope scope(Row::kName);
    const Interruptible interruptible;  // a launch waits when very much is queued
    lay_out_results(args...);
    const NewResults new_results(args...);
    try {
      check_not_forked();
      Row::counter().count(key_dtype<Row::kKey>(args...));
      const phi::CustomContext& own = thread_context(ctx);
      const AllocationScope allocates_for_stream(*static_cast<Stream*>(own.stream()));
      Row::kFunction(own, std::forward<Args>(args)...);
    } catch (...) {
      new_results.drop(args...);
      rethrow_to_paddle();
    }
  }
};

template <typename Row>
bool add_row(Takes takes, phi::KernelArgsDefFn define) {
  using T = Thunk<Row, std::remove_const_t<decltype(Row::kFunction)>>;
  Row::counter();  // made now, so that the list of counters is complete before any thread runs
  add_kernel_row({Row::kName, takes, phi::KernelArgsParseFunctor<decltype(&T::call)>::Parse, define,
                  PHI_KERNEL(T::call), PHI_VARIADIC_KERNEL(T::call)});
  return true;
}

inline void define_nothing(const phi::KernelKey&, phi::Kernel*) {}

}  // namespace detail

// `declaration` is Paddle's template for the kernel, in <T, Context>.
#define MPS_KERNEL(name, declaration, function, takes) \
  MPS_KERNEL_WITH_DEFINE(name, declaration, function, takes, ::mps::paddle::detail::define_nothing)

// As MPS_KERNEL; `define` sets the dtypes of outputs that differ from the kernel's own, as Paddle's
// registrations do.
#define MPS_KERNEL_WITH_DEFINE(name, declaration, function, takes, define)                                \
  static_assert(std::is_same_v<decltype(&declaration<float, ::phi::CustomContext>), decltype(&function)>, \
                "the parameters of kernel " #name " are not those of Paddle's declaration");              \
  MPS_KERNEL_UNCHECKED(name, function, takes, define)

// As MPS_KERNEL, for a kernel whose declaration is a template in <Context> alone.
#define MPS_KERNEL_WITHOUT_T(name, declaration, function, takes)                                   \
  static_assert(std::is_same_v<decltype(&declaration<::phi::CustomContext>), decltype(&function)>, \
                "the parameters of kernel " #name " are not those of Paddle's declaration");       \
  MPS_KERNEL_UNCHECKED(name, function, takes, ::mps::paddle::detail::define_nothing)

// As MPS_KERNEL, for a kernel that Paddle chooses by the dtype of argument `key`, counted from 0.
#define MPS_KERNEL_KEYED(name, declaration, function, takes, key)                                         \
  static_assert(std::is_same_v<decltype(&declaration<float, ::phi::CustomContext>), decltype(&function)>, \
                "the parameters of kernel " #name " are not those of Paddle's declaration");              \
  MPS_KERNEL_ROW(name, function, takes, ::mps::paddle::detail::define_nothing, key)

#define MPS_KERNEL_UNCHECKED(name, function, takes, define) MPS_KERNEL_ROW(name, function, takes, define, 0)

#define MPS_KERNEL_ROW(name, function, takes, define, key)                                              \
  namespace {                                                                                           \
  struct name##_row {                                                                                   \
    static constexpr const char* kName = #name;                                                         \
    static constexpr int kKey = key;                                                                    \
    static constexpr auto kFunction = &function;                                                        \
    static ::mps::paddle::OpCounter& counter() {                                                        \
      static ::mps::paddle::OpCounter instance(kName);                                                  \
      return instance;                                                                                  \
    }                                                                                                   \
  };                                                                                                    \
  [[maybe_unused]] const bool name##_added = ::mps::paddle::detail::add_row<name##_row>(takes, define); \
  }

}  // namespace mps::paddle
