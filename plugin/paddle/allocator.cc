// Default visibility: types are told apart at run time across libraries, which macOS does only for types that are
// visible.
#pragma GCC visibility push(default)
#include "paddle/phi/core/memory/allocation/allocator_facade.h"
#include "paddle/phi/core/memory/allocation/stat_allocator.h"
#pragma GCC visibility pop

#include <map>
#include <mutex>
#include <vector>

#include "plugin/core/env.h"
#include "plugin/core/log.h"
#include "plugin/core/runtime.h"
#include "plugin/paddle/allocator.h"
#include "plugin/paddle/guard.h"

namespace mps::paddle {
namespace {

namespace allocation = ::paddle::memory::allocation;

thread_local const Stream* t_stream = nullptr;

// A tensor's memory: one block.
class TensorMemory final : public allocation::Allocation {
 public:
  using allocation::Allocation::Allocation;
};

class TensorAllocator final : public allocation::Allocator {
 public:
  // `before`: what was in our place, which still owns what it has given out.
  TensorAllocator(int device, std::shared_ptr<allocation::Allocator> before)
      : memory_(Runtime::device(device).memory()), place_("mps", device), before_(std::move(before)) {}

  bool IsAllocThreadSafe() const override { return true; }

  void Free(phi::Allocation* allocation) override {
    if (dynamic_cast<TensorMemory*>(allocation) != nullptr) return allocation::Allocator::Free(allocation);
    before_->Free(allocation);
    before_->Release(place_);  // nobody will ask it again
  }

 protected:
  phi::Allocation* AllocateImpl(size_t bytes) override {
    Memory::Allocation block;
    try {
      block = memory_.allocate(bytes, t_stream);
    } catch (...) {  // a device may refuse, say in a child of fork()
      keep_last_error();
      rethrow_to_paddle();
    }
    if (block.address == nullptr) throw_to_paddle(ErrorKind::kMemory, memory_.shortage(bytes).c_str());
    return new TensorMemory(block.address, block.bytes, place_);
  }

  void FreeImpl(phi::Allocation* allocation) override {
    // Called in destructors, which must not throw.
    guard_callback("free", [&] { memory_.free(allocation->ptr()); });
    delete static_cast<TensorMemory*>(allocation);
  }

  uint64_t ReleaseImpl(const phi::Place&) override {
    uint64_t released = 0;
    guard_callback("empty_cache", [&] { released = memory_.release_unused(); });
    return released;
  }

 private:
  Memory& memory_;
  const phi::CustomPlace place_;
  const std::shared_ptr<allocation::Allocator> before_;
};

bool wanted() {
  const std::string& choice = env::allocator();
  MPS_CHECK(choice == "mps" || choice == "paddle", kArgument,
            "bad value of PADDLE_MPS_ALLOCATOR: expected mps or paddle, got '", choice, "'. Correct or unset it.");
  return choice == "mps";
}

bool replace(int device) {
  if (!wanted()) return false;
  const auto& top = allocation::AllocatorFacade::Instance().GetAllocator(phi::CustomPlace("mps", device));
  auto* const statistics = dynamic_cast<allocation::StatAllocator*>(top.get());
  if (statistics == nullptr) {
    MPS_LOG(kWarning,
            "memory goes through Paddle's own cache: expected its statistics on top of its allocators, got "
            "something else. FLAGS_allocator_strategy must be auto_growth.");
    return false;
  }
  std::shared_ptr<allocation::Allocator>& below = statistics->GetUnderLyingAllocator();
  below = std::make_shared<TensorAllocator>(device, below);
  return true;
}

struct Replaced {
  std::mutex mutex;
  std::map<int, bool> devices;                                     // those that were asked for
  std::vector<std::shared_ptr<allocation::Allocator>> of_streams;  // what streams had before; contexts may hold it
};

// Never destroyed: Paddle may still allocate when static destructors have run.
Replaced& replaced() {
  static auto* const instance = new Replaced;
  return *instance;
}

// Paddle has another chain, with another cache, for each stream that a context is given beside its first. Ours knows
// which stream it serves (AllocationScope), so one chain serves them all. Paddle hands out a reference to the pointer
// that it keeps, and looks there again whenever a context gets a stream.
void replace_for_stream(int device, Stream* stream, Replaced& all) {
  auto& facade = allocation::AllocatorFacade::Instance();
  const phi::CustomPlace place("mps", device);
  const auto& ours = facade.GetAllocator(place);
  auto& kept = const_cast<std::shared_ptr<allocation::Allocator>&>(facade.GetAllocator(place, stream));
  if (kept == ours) return;
  all.of_streams.push_back(kept);
  kept = ours;
}

void replace_default(int device) {
  // The first question to the facade makes it, and that may allocate.
  static thread_local bool asking = false;
  if (asking) return;
  asking = true;
  allocation::AllocatorFacade::Instance();
  asking = false;
  Replaced& all = replaced();
  std::lock_guard<std::mutex> lock(all.mutex);
  if (!all.devices.emplace(device, false).second) return;
  all.devices[device] = replace(device);
}

}  // namespace

void replace_paddle_cache(int device, Stream& stream) {
  replace_default(device);
  Replaced& all = replaced();
  std::lock_guard<std::mutex> lock(all.mutex);
  if (all.devices[device]) replace_for_stream(device, &stream, all);
}

bool keeps_idle_memory(int device) {
  Replaced& all = replaced();
  std::lock_guard<std::mutex> lock(all.mutex);
  const auto found = all.devices.find(device);
  return found != all.devices.end() ? found->second : wanted();
}

AllocationScope::AllocationScope(const Stream& stream) : before_(t_stream) { t_stream = &stream; }
AllocationScope::~AllocationScope() { t_stream = before_; }

}  // namespace mps::paddle
