#include "plugin/core/runtime.h"

#include <algorithm>

#include "plugin/core/check.h"
#include "plugin/core/env.h"
#include "plugin/core/fault.h"
#include "plugin/core/log.h"

namespace mps {
namespace {

struct State {
  std::vector<std::unique_ptr<DeviceState>> devices;
  std::string reason = "the runtime was not opened.";
};

// Never destroyed: streams and kernels may still be called by Paddle's own static destructors at
// exit.
State& state() {
  static State* const instance = new State;
  return *instance;
}

const Backend* choose(Span<const Backend* const> backends) {
  const std::string& wanted = env::backend();
  std::string names;
  for (const Backend* backend : backends) {
    if (wanted.empty() || wanted == backend->name) return backend;
    names += names.empty() ? backend->name : std::string(", ") + backend->name;
  }
  MPS_THROW(kArgument, "no such backend in PADDLE_MPS_BACKEND: expected one of ", names, ", got '", wanted,
            "'. Correct or unset it.");
}

}  // namespace

DeviceState::DeviceState(int index, std::unique_ptr<Device> device, Figures* figures)
    : index_(index),
      device_(std::move(device)),
      own_figures_(figures == nullptr ? std::make_unique<Figures>() : nullptr),
      figures_(figures == nullptr ? *own_figures_ : *figures),
      cache_(*device_, static_cast<uint64_t>(env::cache_entries()), static_cast<uint64_t>(env::cache_bytes()),
             &figures_.cache),
      memory_(*device_, static_cast<uint64_t>(env::memory_limit()), [this] { drain(); }, &figures_) {
  device_->on_memory_pressure([this] { memory_.release_unused(); });
}

DeviceState::~DeviceState() {
  device_->on_memory_pressure(nullptr);
  drain();
}

Stream* DeviceState::create_stream() {
  std::shared_ptr<Stream> stream = device_->new_stream();
  std::lock_guard<std::mutex> lock(streams_mutex_);
  memory_.add_stream(stream.get());
  streams_.push_back(std::move(stream));
  return streams_.back().get();
}

void DeviceState::destroy_stream(Stream* stream) {
  std::shared_ptr<Stream> last;
  {
    std::lock_guard<std::mutex> lock(streams_mutex_);
    const auto it = std::find_if(streams_.begin(), streams_.end(), [&](const auto& s) { return s.get() == stream; });
    if (it == streams_.end()) return;
    last = std::move(*it);
    streams_.erase(it);
  }
  last->drain();
  memory_.remove_stream(stream);
}

void DeviceState::note_another_stream(const Stream& stream) {
  const Stream* none = nullptr;
  if (!op_stream_.compare_exchange_strong(none, &stream) && none != &stream) several_streams_.store(true);
}

std::vector<std::shared_ptr<Stream>> DeviceState::streams() {
  std::lock_guard<std::mutex> lock(streams_mutex_);
  return streams_;
}

void DeviceState::drain() {
  for (const auto& stream : streams()) stream->drain();
}

void DeviceState::synchronize() {
  drain();  // which a signal may end, before any error has been taken from its stream
  std::exception_ptr first;
  for (const auto& stream : streams()) {
    try {
      stream->synchronize();
    } catch (const Error&) {
      if (first == nullptr) first = std::current_exception();
    }
  }
  if (first != nullptr) std::rethrow_exception(first);
}

void Runtime::open(Span<const Backend* const> backends, FiguresPlace place) noexcept {
  State& s = state();
  try {
    MPS_CHECK(!backends.empty(), kInternal, "no backend was linked in.");
    const Backend* backend = choose(backends);
    s.reason.clear();
    auto devices = backend->open(&s.reason);
    const int count = static_cast<int>(devices.size());
    for (int i = 0; i < count; ++i) {
      auto& device = devices[static_cast<size_t>(i)];
      Figures* const figures = place == nullptr ? nullptr : place(i, count, *device);
      s.devices.push_back(std::make_unique<DeviceState>(i, with_faults(std::move(device)), figures));
    }
  } catch (const std::exception& error) {
    s.devices.clear();
    s.reason = error.what();
  }
  if (s.devices.empty() && s.reason.empty()) s.reason = "the backend found no device.";
}

int Runtime::device_count() { return static_cast<int>(state().devices.size()); }

DeviceState& Runtime::device(int index) {
  State& s = state();
  const int count = static_cast<int>(s.devices.size());
  MPS_CHECK(index >= 0 && index < count, kArgument, "no such device: expected an index below ", count, ", got ", index,
            ". See paddle_mps.device_count().");
  return *s.devices[static_cast<size_t>(index)];
}

const std::string& Runtime::unavailable_reason() { return state().reason; }

}  // namespace mps
