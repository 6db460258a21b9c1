#include "plugin/core/process.h"

#include <pthread.h>

#include <atomic>

#include "plugin/core/check.h"

namespace mps {
namespace {

std::atomic<bool> g_forked{false};

[[maybe_unused]] const int g_watching =
    pthread_atfork(nullptr, nullptr, [] { g_forked.store(true, std::memory_order_relaxed); });

}  // namespace

bool is_forked() { return g_forked.load(std::memory_order_relaxed); }

void check_not_forked() {
  MPS_CHECK(!is_forked(), kUnsupported,
            "the device was used in a forked process: expected the process that opened it, got a child of it. Start "
            "workers with the 'spawn' method, or keep their tensors on the CPU.");
}

}  // namespace mps
