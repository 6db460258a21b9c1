// How often each op ran, per dtype and place: the numbers behind fallback_report(). Counting costs
// one relaxed atomic increment per kernel call.
#pragma once

#include <atomic>
#include <cstdint>

#include "paddle/phi/common/data_type.h"

namespace mps::paddle {

// Calls of one kernel on mps. A static object per kernel; it enters the list of all when it is made
// and never dies.
class OpCounter {
 public:
  explicit OpCounter(const char* op);
  void count(phi::DataType dtype) { calls_[static_cast<int>(dtype)].fetch_add(1, std::memory_order_relaxed); }

 private:
  friend void visit_op_counts(void (*)(void*, const char*, const char*, int32_t, uint64_t), void*);
  friend void reset_op_counts();

  const char* const op_;
  std::atomic<uint64_t> calls_[static_cast<int>(phi::DataType::NUM_DATA_TYPES)] = {};
  OpCounter* next_;
};

// One call that Paddle sent to the CPU. The first of each op and dtype is logged as a warning.
void count_cpu_fallback(const char* op, const char* dtype);

// Calls `visitor(context, op, dtype, where, calls)` per op and dtype with at least one call; where:
// 0 mps, 1 CPU.
void visit_op_counts(void (*visitor)(void*, const char*, const char*, int32_t, uint64_t), void* context);
void reset_op_counts();

}  // namespace mps::paddle
