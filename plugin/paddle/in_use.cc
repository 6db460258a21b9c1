#include "plugin/paddle/in_use.h"

#include <deque>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "paddle/phi/core/memory/malloc.h"

namespace mps::paddle {

std::array<std::atomic<void*>, detail::kDevicesWatched> detail::g_only_stream{};

namespace {

char g_several;  // its address stands for several streams

using Memory = std::shared_ptr<phi::Allocation>;

struct Held {
  uint64_t until;  // the stream's completed()
  Memory memory;
};

// Never destroyed: Paddle's static destructors may still run ops.
struct State {
  std::atomic<bool> any{false};  // !held.empty()
  std::mutex mutex;
  std::map<const Stream*, std::deque<Held>> held;  // of streams that hold something: those are alive
};

State& state() {
  static State* const instance = new State;
  return *instance;
}

// Moves what is not used any more to `over`, to be released without the lock: that may call back into the plugin.
void take_over(const Stream& stream, std::deque<Held>& held, std::vector<Memory>* over) {
  const uint64_t completed = stream.completed();
  while (!held.empty() && held.front().until <= completed) {
    over->push_back(std::move(held.front().memory));
    held.pop_front();
  }
}

}  // namespace

bool detail::is_second_stream(size_t device, void* stream) {
  std::atomic<void*>& only = g_only_stream[device];
  if (only.load() == nullptr) {
    const phi::CustomPlace place("mps", static_cast<int>(device));
    void* first = nullptr;
    only.compare_exchange_strong(first, ::paddle::memory::GetStream(::paddle::memory::AllocShared(place, 1)));
  }
  if (only.load() == stream) return false;
  only.store(&g_several);
  return true;
}

bool uses_several_streams(int device) {
  const auto i = static_cast<size_t>(device);
  return i >= detail::kDevicesWatched || detail::g_only_stream[i].load(std::memory_order_relaxed) == &g_several;
}

void detail::hold(const phi::CustomContext& ctx, const phi::DenseTensor& tensor) {
  const Memory& memory = tensor.Holder();
  if (memory == nullptr || memory->place() != ctx.GetPlace()) return;
  void* const owner = ::paddle::memory::GetStream(memory);
  if (owner == ctx.stream()) return;
  const auto& stream = *static_cast<const Stream*>(ctx.stream());
  std::vector<Memory> over;
  State& all = state();
  std::lock_guard<std::mutex> lock(all.mutex);
  std::deque<Held>& held = all.held[&stream];
  take_over(stream, held, &over);
  held.push_back({stream.submitted(), memory});
  all.any.store(true, std::memory_order_relaxed);
}

void release_held_memory(const Stream* destroyed) {
  State& all = state();
  if (!all.any.load(std::memory_order_relaxed)) return;
  std::vector<Memory> over;
  std::lock_guard<std::mutex> lock(all.mutex);
  for (auto it = all.held.begin(); it != all.held.end();) {
    auto& [stream, held] = *it;
    if (stream == destroyed) {
      for (Held& use : held) over.push_back(std::move(use.memory));
      held.clear();
    } else {
      take_over(*stream, held, &over);
    }
    it = held.empty() ? all.held.erase(it) : std::next(it);
  }
  all.any.store(!all.held.empty(), std::memory_order_relaxed);
}

}  // namespace mps::paddle
