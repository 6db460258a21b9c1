#include "plugin/paddle/thread_context.h"

#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "paddle/phi/api/include/context_pool.h"
#include "paddle/phi/backends/context_pool.h"
#include "plugin/core/check.h"

namespace mps::paddle {

__thread int detail::t_own_contexts = 0;

namespace {

using Contexts = std::map<phi::Place, std::shared_future<std::unique_ptr<phi::DeviceContext>>>;

phi::CustomContext& custom_context(const Contexts::mapped_type& context) {
  return static_cast<phi::CustomContext&>(*context.get());
}

phi::Place place_of(int device) { return phi::CustomPlace("mps", device); }

// Contexts that ended threads have left, by device. A context is never destroyed: its destructor would destroy the
// stream that it has, which is somebody else's, and static programs made on the thread may still hold it.
struct Left {
  std::mutex mutex;
  std::map<int, std::vector<Contexts::mapped_type>> contexts;
};

Left& left() {
  static Left* const instance = new Left;
  return *instance;
}

Contexts::mapped_type new_context(int device, const phi::CustomContext& shared) {
  {
    std::lock_guard<std::mutex> lock(left().mutex);
    auto& contexts = left().contexts[device];
    if (!contexts.empty()) {
      Contexts::mapped_type context = std::move(contexts.back());
      contexts.pop_back();
      return context;
    }
  }
  auto context = std::make_unique<phi::CustomContext>(phi::CustomPlace("mps", device));
  context->SetStream(shared.GetStream());  // and the allocator that goes with it
  context->SetHostAllocator(&shared.GetHostAllocator());
  context->SetZeroAllocator(&shared.GetZeroAllocator());
  context->SetHostZeroAllocator(&shared.GetHostZeroAllocator());
  context->SetGenerator(shared.GetGenerator());
  context->SetHostGenerator(shared.GetHostGenerator());
  std::promise<std::unique_ptr<phi::DeviceContext>> promise;
  promise.set_value(std::move(context));
  return promise.get_future().share();
}

struct Own {
  phi::CustomContext* shared;  // what all threads have
  Contexts::mapped_type context;
  int entered = 0;

  void reset() { custom_context(context).SetStream(shared->GetStream()); }
};

// One thread's contexts. Paddle uses the map from the first device that is entered to the last that is left.
struct ThreadContexts {
  std::map<int, Own> own;            // every device that this thread has ever entered
  const Contexts* before = nullptr;  // what Paddle used
  Contexts contexts;                 // the same, with those of the devices that are entered replaced

  ~ThreadContexts() {
    if (detail::t_own_contexts != 0) phi::DeviceContextPool::SetDeviceContexts(before);
    detail::t_own_contexts = 0;
    std::lock_guard<std::mutex> lock(left().mutex);
    for (auto& [device, mine] : own) {
      if (mine.entered != 0) mine.reset();
      left().contexts[device].push_back(std::move(mine.context));
    }
  }
};

ThreadContexts& this_thread() {
  static thread_local ThreadContexts contexts;
  return contexts;
}

const Own* entered(int device) {
  const auto& own = this_thread().own;
  const auto it = own.find(device);
  return it != own.end() && it->second.entered != 0 ? &it->second : nullptr;
}

Stream& stream_of(const phi::CustomContext& context) { return *static_cast<Stream*>(context.stream()); }

}  // namespace

void enter_thread_context(int device) {
  ThreadContexts& thread = this_thread();
  auto it = thread.own.find(device);
  if (it == thread.own.end() || it->second.entered == 0) {
    phi::DeviceContextPool& pool = phi::DeviceContextPool::Instance();
    auto* const shared = static_cast<phi::CustomContext*>(pool.Get(place_of(device)));
    // Eager ops keep the first context that they get: it must not be a thread's.
    ::paddle::experimental::DeviceContextPool::Instance().Get(place_of(device));
    if (it == thread.own.end()) it = thread.own.emplace(device, Own{shared, new_context(device, *shared)}).first;
    it->second.reset();
    if (detail::t_own_contexts == 0) {
      thread.before = &pool.device_contexts();
      thread.contexts = *thread.before;
    }
    thread.contexts[place_of(device)] = it->second.context;
    phi::DeviceContextPool::SetDeviceContexts(&thread.contexts);
    ++detail::t_own_contexts;
  }
  ++it->second.entered;
}

void leave_thread_context(int device) {
  ThreadContexts& thread = this_thread();
  const auto it = thread.own.find(device);
  MPS_CHECK(it != thread.own.end() && it->second.entered != 0, kArgument,
            "this thread has no stream of its own: expected a call after entering device ", device,
            ", got one before.");
  Own& own = it->second;
  if (--own.entered != 0) return;
  own.reset();
  thread.contexts[place_of(device)] = thread.before->at(place_of(device));
  if (--detail::t_own_contexts == 0) phi::DeviceContextPool::SetDeviceContexts(thread.before);
}

const phi::CustomContext& detail::own_context(const phi::CustomContext& shared) {
  const Own* const own = entered(shared.GetPlace().GetDeviceId());
  return own != nullptr && own->shared == &shared ? custom_context(own->context) : shared;
}

Stream& current_stream(int device) {
  // The pool gives this thread's context, if it has one.
  return stream_of(static_cast<const phi::CustomContext&>(*phi::DeviceContextPool::Instance().Get(place_of(device))));
}

}  // namespace mps::paddle
