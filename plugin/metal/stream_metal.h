// A stream of Metal: the seam's words, said to a MetalQueue.
#pragma once

#include <memory>

#include "plugin/core/device.h"
#include "plugin/metal/queue_metal.h"

namespace mps {

class MetalStream final : public Stream {
 public:
  explicit MetalStream(std::shared_ptr<MetalContext> context);
  ~MetalStream() override;

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
  struct Staged {
    id<MTLBuffer> buffer;
    size_t offset;
  };
  Staged stage(const void* from, size_t bytes);

  const std::shared_ptr<MetalContext> context_;
  const std::shared_ptr<MetalQueue> queue_;
  // Under the encoding lock: what uploads are copied aside to. Full ones belong to the command buffers that read them.
  Ref<id<MTLBuffer>> staging_;
  size_t staged_ = 0;
};

}  // namespace mps
