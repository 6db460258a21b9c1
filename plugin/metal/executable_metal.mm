#include "plugin/metal/executable_metal.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "plugin/core/check.h"
#include "plugin/core/process.h"
#include "plugin/metal/buffer_metal.h"
#include "plugin/metal/lower_metal.h"
#include "plugin/metal/os.h"

namespace mps {
namespace {

// A feed or a result of MPSGraph: which one of the original graph it is, and how it is declared.
struct Port {
  uint32_t number;
  bool is_scalar;
  size_t bytes;
  MPSDataType type;
  Ref<MPSShape*> shape;
};

Port port_of(const Graph& graph, Value value, uint32_t number) {
  return {number, graph.node(value).kind == NodeKind::scalar, graph.bytes(value), mps_type(graph.dtype(value)),
          retain(mps_shape(graph.shape(value)))};
}

struct Place {
  id<MTLBuffer> buffer = nil;
  size_t offset = 0;
};

Place place_of(const Range& range) { return {mtl_buffer(*range.buffer), range.offset}; }

bool same_place(const Range& x, const Range& y) { return x.buffer == y.buffer && x.offset == y.offset; }

id<MTLBuffer> temporary(Encoding& encoding, size_t bytes) {
  const auto buffer = adopt([encoding.device() newBufferWithLength:bytes options:MTLResourceStorageModePrivate]);
  MPS_CHECK(buffer, kMemory, "no memory for a temporary: expected ", bytes, " bytes, got none.");
  encoding.keep(buffer.get());
  return buffer.get();
}

// Before macOS 15 MPSGraph's tensors begin where their buffers begin.
bool takes_offsets() { return os_at_least(15, 0); }

MPSGraphTensorData* tensor_data(const Port& port, const Place& place) {
  if (place.offset == 0) {
    return autorelease([[MPSGraphTensorData alloc] initWithMTLBuffer:place.buffer
                                                               shape:port.shape.get()
                                                            dataType:port.type]);
  }
  if (MPS_AVAILABLE(15, 0)) {
    MPSNDArrayDescriptor* const descriptor = [MPSNDArrayDescriptor descriptorWithDataType:port.type
                                                                                    shape:port.shape.get()];
    descriptor.preferPackedRows = YES;  // they may be padded otherwise
    const auto array = adopt([[MPSNDArray alloc] initWithBuffer:place.buffer
                                                         offset:place.offset
                                                     descriptor:descriptor]);
    return autorelease([[MPSGraphTensorData alloc] initWithMPSNDArray:array.get()]);
  }
  MPS_THROW(kInternal, "a tensor of MPSGraph cannot begin at byte ", place.offset, " before macOS 15.");
}

class GraphExecutable final : public MetalExecutable {
 public:
  GraphExecutable(const Graph& original, const legal::Legal& legal, Compiled compiled)
      : executable_(std::move(compiled.executable)),
        sources_(legal.results),
        bytes_(kBytes + kBytesPerNode * legal.graph.node_count()) {
    const Graph& graph = legal.graph;
    std::vector<Value> feeds(graph.feed_count());
    for (uint32_t i = 0; i < graph.node_count(); ++i) {
      const NodeKind kind = graph.node(i).kind;
      if (kind != NodeKind::placeholder && kind != NodeKind::scalar) continue;
      feeds[static_cast<size_t>(graph.attributes(graph.node(i))[0])] = Value{i};
    }
    for (uint32_t feed : compiled.feeds) feeds_.push_back(port_of(graph, feeds[feed], legal.feeds[feed]));
    for (uint32_t result : compiled.results) {
      results_.push_back(port_of(graph, Value{graph.results()[result]}, result));
    }
    for (uint32_t i = 0; i < original.node_count(); ++i) {
      if (original.node(i).kind != NodeKind::scalar) continue;
      scalars_.push_back(static_cast<uint32_t>(original.attributes(original.node(i))[0]));
    }
  }

  ~GraphExecutable() override {
    MPS_POOL;
    if (is_forked()) executable_.leak();
    executable_ = {};
  }

  size_t bytes() const override { return bytes_; }

  void encode(Encoding& encoding, Span<const Binding> feeds, Span<const Binding> results) const override {
    // Feeds that become results as they are come first: what follows may write over them.
    std::vector<std::pair<Place, const Range*>> moves;  // what goes from where to which result at the end
    for (size_t i = 0; i < results.size(); ++i) {
      if (sources_[i].kind != legal::Source::kFeed) continue;
      const Range& to = results[i].range;
      const Binding& feed = feeds[sources_[i].index];
      if (feed.range.buffer != nullptr && same_place(to, feed.range)) continue;
      const Place from = is_scalar(sources_[i].index) ? scalar(encoding, feed) : place_of(feed.range);
      if (!is_fed(to, feeds)) {
        copy(encoding, place_of(to), from, to.bytes);
        continue;
      }
      const Place kept = {temporary(encoding, to.bytes), 0};
      copy(encoding, kept, from, to.bytes);
      moves.emplace_back(kept, &to);
    }
    if (executable_) run(encoding, feeds, results, &moves);
    for (const auto& [from, to] : moves) copy(encoding, place_of(*to), from, to->bytes);
  }

 private:
  // 55 KB for a small graph were measured by others (pyg-team/pytorch_geometric#10689).
  static constexpr size_t kBytes = 48 << 10, kBytesPerNode = 2 << 10;

  static void copy(Encoding& encoding, const Place& to, const Place& from, size_t bytes) {
    encoding.copy(to.buffer, to.offset, from.buffer, from.offset, bytes);
  }

  static Place scalar(Encoding& encoding, const Binding& feed) {
    const auto buffer = adopt([encoding.device() newBufferWithBytes:&feed.scalar_bits
                                                             length:sizeof feed.scalar_bits
                                                            options:MTLResourceStorageModeShared]);
    MPS_CHECK(buffer, kMemory, "no memory for a number: expected ", sizeof feed.scalar_bits, " bytes, got none.");
    encoding.keep(buffer.get());
    return {buffer.get(), 0};
  }

  bool is_scalar(uint32_t feed) const { return std::find(scalars_.begin(), scalars_.end(), feed) != scalars_.end(); }

  // Whether a feed that is still to be read lies there.
  bool is_fed(const Range& range, Span<const Binding> feeds) const {
    for (const Port& port : feeds_) {
      if (!port.is_scalar && same_place(range, feeds[port.number].range)) return true;
    }
    for (const legal::Source& source : sources_) {
      if (source.kind != legal::Source::kFeed || is_scalar(source.index)) continue;
      if (same_place(range, feeds[source.index].range)) return true;
    }
    return false;
  }

  void run(Encoding& encoding, Span<const Binding> feeds, Span<const Binding> results,
           std::vector<std::pair<Place, const Range*>>* moves) const {
    NSMutableArray<MPSGraphTensorData*>* const inputs = [NSMutableArray arrayWithCapacity:feeds_.size()];
    for (const Port& port : feeds_) {
      const Binding& feed = feeds[port.number];
      Place place = port.is_scalar ? scalar(encoding, feed) : place_of(feed.range);
      if (place.offset != 0 && !takes_offsets()) {
        const Place dense = {temporary(encoding, port.bytes), 0};
        copy(encoding, dense, place, port.bytes);
        place = dense;
      }
      [inputs addObject:tensor_data(port, place)];
    }
    NSMutableArray<MPSGraphTensorData*>* const outputs = [NSMutableArray arrayWithCapacity:results_.size()];
    for (const Port& port : results_) {
      const Range* first = nullptr;  // the first of ours that is this one
      Place place;
      for (size_t i = 0; i < results.size(); ++i) {
        if (sources_[i].kind != legal::Source::kResult || sources_[i].index != port.number) continue;
        const Range& range = results[i].range;
        if (first == nullptr) {
          first = &range;
          const bool direct = !is_fed(range, feeds) && (range.offset == 0 || takes_offsets());
          place = direct ? place_of(range) : Place{temporary(encoding, port.bytes), 0};
          if (direct) continue;
        }
        moves->emplace_back(place, &range);
      }
      [outputs addObject:tensor_data(port, place)];
    }
    MPSCommandBuffer* const commands = encoding.commands();
    {
      std::lock_guard<std::mutex> lock(mutex_);  // that streams may share one is not documented
      [executable_.get() encodeToCommandBuffer:commands
                                   inputsArray:inputs
                                  resultsArray:outputs
                           executionDescriptor:nil];
    }
    encoding.keep(inputs);
    encoding.keep(outputs);
  }

  Ref<MPSGraphExecutable*> executable_;
  const std::vector<legal::Source> sources_;
  std::vector<Port> feeds_;        // numbered as the original graph's
  std::vector<Port> results_;      // numbered as the legal graph's
  std::vector<uint32_t> scalars_;  // feeds of the original graph
  const size_t bytes_;
  mutable std::mutex mutex_;
};

}  // namespace

std::shared_ptr<const MetalExecutable> make_executable(const Graph& original, const legal::Legal& legal,
                                                       Compiled compiled) {
  return std::make_shared<GraphExecutable>(original, legal, std::move(compiled));
}

}  // namespace mps
