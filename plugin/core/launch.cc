#include "plugin/core/launch.h"

#include "plugin/core/check.h"
#include "plugin/core/timeline.h"

namespace mps {
namespace {

using Bindings = SmallVector<Binding, 8>;

Bindings bind_feeds(Memory& memory, const Stream& stream, const Graph& graph, Span<const Feed> feeds) {
  Bindings bindings;
  bindings.resize(feeds.size());
  for (uint32_t i = 0; i < graph.node_count(); ++i) {
    const Node& node = graph.node(i);
    if (node.kind != NodeKind::placeholder && node.kind != NodeKind::scalar) continue;
    const size_t index = static_cast<size_t>(graph.attributes(node)[0]);
    const Feed& feed = feeds[index];
    MPS_CHECK(feed.is_scalar() == (node.kind == NodeKind::scalar), kInternal, "feed ", index,
              " does not fit: expected ", info(node.kind).name, ".");
    if (feed.is_scalar()) {
      bindings[index].scalar_bits = feed.scalar().bits(node.dtype);
    } else if (const size_t bytes = graph.bytes(Value{i}); bytes != 0) {
      bindings[index].range = memory.resolve(feed.address(), bytes, &stream);
    }
  }
  return bindings;
}

// True if there is anything to write.
bool bind_results(Memory& memory, const Stream& stream, const Graph& graph, Span<void* const> results,
                  Bindings* bindings) {
  bool any = false;
  bindings->resize(results.size());
  for (size_t i = 0; i < results.size(); ++i) {
    const size_t bytes = graph.bytes(Value{graph.results()[i]});
    if (bytes == 0) continue;
    (*bindings)[i].range = memory.resolve(results[i], bytes, &stream);
    any = true;
  }
  return any;
}

void check_overlap(const Range& result, const Range& other) {
  if (result.buffer != other.buffer || result.buffer == nullptr) return;
  const bool apart = result.offset + result.bytes <= other.offset || other.offset + other.bytes <= result.offset;
  const bool in_place = result.offset == other.offset && result.bytes == other.bytes;
  MPS_CHECK(apart || in_place, kArgument,
            "result overlaps an operand: expected separate or identical memory, got bytes ", result.offset, "..",
            result.offset + result.bytes, " and ", other.offset, "..", other.offset + other.bytes,
            " of one block. Clone the operand first.");
}

}  // namespace

void launch(DeviceState& device, Stream& stream, const Graph& graph, Span<const Feed> feeds,
            Span<void* const> results) {
  MPS_CHECK(feeds.size() == graph.feed_count() && results.size() == graph.results().size(), kInternal,
            "launch does not fit its graph: expected ", graph.feed_count(), " feeds and ", graph.results().size(),
            " results, got ", feeds.size(), " and ", results.size(), ".");
  const Submission submission(current_op());
  Bindings to;
  if (!bind_results(device.memory(), stream, graph, results, &to)) return;
  const Bindings from = bind_feeds(device.memory(), stream, graph, feeds);
  for (const Binding& result : to) {
    for (const Binding& feed : from) check_overlap(result.range, feed.range);
  }
  device.figures().launches.fetch_add(1, std::memory_order_relaxed);
  stream.encode(device.cache().get(graph), from, to, current_op());
}

}  // namespace mps
