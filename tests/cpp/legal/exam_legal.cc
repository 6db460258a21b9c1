// Legalisation under exam: graphs are rewritten for a macOS and then run on the host device, which knows nothing of it.
#include <cstring>

#include "plugin/host/device_host.h"
#include "plugin/host/executable_host.h"
#include "plugin/metal/legal/legal.h"
#include "tests/cpp/conformance/exam.h"
#include "tests/cpp/legal/target.h"

namespace mps::exam {

namespace {

// Reads every feed before it writes a result: the legal graph knows nothing of results in the place of feeds.
class LegalExecutable final : public HostExecutable {
 public:
  LegalExecutable(legal::Legal legal, std::shared_ptr<const HostExecutable> inner)
      : legal_(std::move(legal)), inner_(std::move(inner)) {}

  size_t bytes() const override { return inner_->bytes(); }
  uint64_t cost_ns() const override { return inner_->cost_ns(); }

  void run(Span<const HostBinding> feeds, Span<const HostBinding> results) const override {
    std::vector<HostBinding> from, to;
    std::vector<std::vector<char>> bytes;
    for (uint32_t feed : legal_.feeds) from.push_back(feeds[feed]);
    for (uint32_t result : legal_.graph.results()) {
      bytes.emplace_back(legal_.graph.bytes(Value{result}));
      to.emplace_back();
      to.back().address = bytes.back().data();
      to.back().bytes = bytes.back().size();
    }
    inner_->run(from, to);
    std::vector<std::vector<char>> moved;
    for (size_t i = 0; i < results.size(); ++i) {
      const legal::Source source = legal_.results[i];
      moved.emplace_back();
      if (source.kind != legal::Source::kFeed) continue;
      const HostBinding& feed = feeds[source.index];
      const char* const scalar = reinterpret_cast<const char*>(&feed.scalar_bits);
      const char* const begin = feed.address != nullptr ? feed.address : scalar;
      moved.back().assign(begin, begin + results[i].bytes);
    }
    for (size_t i = 0; i < results.size(); ++i) {
      const legal::Source source = legal_.results[i];
      const std::vector<char>& value = source.kind == legal::Source::kResult ? bytes[source.index] : moved[i];
      ASSERT_EQ(value.size(), results[i].bytes) << "result " << i;
      if (!value.empty()) std::memcpy(results[i].address, value.data(), value.size());
    }
  }

 private:
  const legal::Legal legal_;
  const std::shared_ptr<const HostExecutable> inner_;
};

class LegalDevice final : public Device {
 public:
  explicit LegalDevice(int64_t delay_us) : device_({/*reference=*/false, delay_us}) {}

  const DeviceProperties& properties() const override { return device_.properties(); }
  uint64_t driver_allocated_bytes() const override { return device_.driver_allocated_bytes(); }
  std::unique_ptr<Heap> new_heap(size_t bytes) override { return device_.new_heap(bytes); }
  std::unique_ptr<Buffer> wrap(void* address, size_t bytes) override { return device_.wrap(address, bytes); }
  std::unique_ptr<Stream> new_stream() override { return device_.new_stream(); }
  std::unique_ptr<Event> new_event() override { return device_.new_event(); }
  std::string supports(const Graph& graph) const override { return legal::refusal(graph, target()); }
  std::shared_ptr<const Executable> compile(const Graph& graph) override {
    legal::Legal made = legal::legalize(graph, target());
    expect_legal(made.graph, target());
    auto inner = std::dynamic_pointer_cast<const HostExecutable>(device_.compile(made.graph));
    return std::make_shared<LegalExecutable>(std::move(made), std::move(inner));
  }

 private:
  HostDevice device_;
};

}  // namespace

std::unique_ptr<Device> open_device(int64_t delay_us) { return std::make_unique<LegalDevice>(delay_us); }

Span<const Exception> exceptions() { return {}; }

}  // namespace mps::exam
