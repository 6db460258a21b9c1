#include "plugin/paddle/op_counts.h"

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "plugin/core/log.h"

namespace mps::paddle {
namespace {

OpCounter* g_counters = nullptr;  // built by static constructors, read-only afterwards

struct Fallbacks {
  std::mutex mutex;
  std::map<std::pair<std::string, std::string>, uint64_t> calls;  // (op, dtype) -> calls; 0 after a reset
};

Fallbacks& fallbacks() {
  static Fallbacks* const instance = new Fallbacks;  // used until the process is gone
  return *instance;
}

}  // namespace

OpCounter::OpCounter(const char* op) : op_(op), next_(g_counters) { g_counters = this; }

void count_cpu_fallback(const char* op, const char* dtype) {
  Fallbacks& f = fallbacks();
  bool first;
  {
    std::lock_guard<std::mutex> lock(f.mutex);
    const auto [row, inserted] = f.calls.try_emplace({op, dtype}, 0);
    ++row->second;
    first = inserted;
  }
  if (first) {
    MPS_LOG(kWarning, "[", op, "] ", dtype,
            " runs on the CPU: there is no mps kernel for it. Expect a copy each way; "
            "see paddle_mps.fallback_report().");
  }
}

void visit_op_counts(void (*visitor)(void*, const char*, const char*, int32_t, uint64_t), void* context) {
  for (const OpCounter* counter = g_counters; counter != nullptr; counter = counter->next_) {
    for (int i = 0; i < static_cast<int>(phi::DataType::NUM_DATA_TYPES); ++i) {
      const uint64_t calls = counter->calls_[i].load(std::memory_order_relaxed);
      if (calls == 0) continue;
      visitor(context, counter->op_, phi::DataTypeToString(static_cast<phi::DataType>(i)).c_str(), 0, calls);
    }
  }
  Fallbacks& f = fallbacks();
  std::lock_guard<std::mutex> lock(f.mutex);
  for (const auto& [key, calls] : f.calls) {
    if (calls != 0) visitor(context, key.first.c_str(), key.second.c_str(), 1, calls);
  }
}

void reset_op_counts() {
  for (OpCounter* counter = g_counters; counter != nullptr; counter = counter->next_) {
    for (auto& calls : counter->calls_) calls.store(0, std::memory_order_relaxed);
  }
  Fallbacks& f = fallbacks();
  std::lock_guard<std::mutex> lock(f.mutex);
  for (auto& [key, calls] : f.calls) calls = 0;  // rows stay, so that a warning is given once per process
}

}  // namespace mps::paddle
