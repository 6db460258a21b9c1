// A host stream: work goes to a HostQueue, and work that is cheap and has nothing before it runs at once on the caller.
//
// Handing work to the worker costs some microseconds, an op on ten elements a few dozen nanoseconds: running it at once
// is what makes small ops fast, and the order of the stream is the same either way.
#pragma once

#include <memory>

#include "plugin/core/device.h"
#include "plugin/host/queue_host.h"

namespace mps {

class HostStream final : public Stream {
 public:
  explicit HostStream(int64_t delay_us);
  ~HostStream() override;

  void encode(const std::shared_ptr<const Executable>& executable, Span<const Binding> feeds,
              Span<const Binding> results, const char* op) override;
  void copy(const Range& to, const Range& from) override;
  void upload(const Range& to, const void* from) override;
  void download(void* to, const Range& from) override;
  void fill(const Range& to, uint8_t value) override;
  void record(Event& event) override;
  void wait(Event& event) override;
  void add_callback(std::function<void()> callback) override;
  uint64_t submitted() const override;
  uint64_t completed() const override;
  bool query() const override;
  void drain() override;
  void synchronize() override;

 private:
  template <typename Work>
  void submit(const char* op, uint64_t cost_ns, Work&& work);

  const std::shared_ptr<HostQueue> queue_;
};

}  // namespace mps
