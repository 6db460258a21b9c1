// The node table as code. `nodes.def` holds the facts; this file only expands it.
#pragma once

#include <cstdint>

#include "plugin/core/dtype.h"

namespace mps {

enum class NodeKind : uint16_t {
#define MPS_NODE(kind, ...) kind,
#include "plugin/core/nodes.def"
#undef MPS_NODE
};

enum class NodeFamily : uint8_t {
  kSource,
  kUnary,
  kBinary,
  kCompare,
  kSelect,
  kCast,
  kReshape,
  kTranspose,
  kBroadcast,
  kSlice,
  kConcatenation,
  kStridedView,
  kStridedUpdate,
  kReduce,
  kArgReduce,
  kScan,
  kCoordinate,
  kGather,
  kScatter,
  kArgSort,
  kSearchSorted,
  kRandom,
  kMatmul,
  kConvolution,
  kConvolutionGradient,
  kPooling,
  kPoolingGradient,
  kAttention,
  kAlignment,
  kFourier,
  kQuantized,
};

enum class NodeDTypes : uint8_t { kAny, kNumeric, kFloat, kFloat32, kInteger, kBool, kInt32, kInt8 };

constexpr bool accepts(NodeDTypes set, DType dtype) {
  switch (set) {
    case NodeDTypes::kAny:
      return true;
    case NodeDTypes::kNumeric:
      return dtype != DType::bool_;
    case NodeDTypes::kFloat:
      return is_float(dtype);
    case NodeDTypes::kFloat32:
      return dtype == DType::float32;
    case NodeDTypes::kInteger:
      return is_integer(dtype);
    case NodeDTypes::kBool:
      return dtype == DType::bool_;
    case NodeDTypes::kInt32:
      return dtype == DType::int32;
    case NodeDTypes::kInt8:
      return dtype == DType::int8;
  }
  __builtin_unreachable();
}

struct NodeInfo {
  const char* name;
  NodeFamily family;
  NodeDTypes dtypes;
  const char* selector;
  int macos;
};

inline constexpr NodeInfo kNodeInfos[] = {
#define MPS_NODE(kind, family, dtypes, selector, macos) \
  {#kind, NodeFamily::family, NodeDTypes::dtypes, selector, macos},
#include "plugin/core/nodes.def"
#undef MPS_NODE
};

inline constexpr int kNodeCount = sizeof kNodeInfos / sizeof kNodeInfos[0];

constexpr const NodeInfo& info(NodeKind kind) { return kNodeInfos[static_cast<int>(kind)]; }

// Pointwise nodes read one element of each operand per element of the result; devices fuse runs of
// them.
constexpr bool is_pointwise(NodeKind kind) {
  const NodeFamily family = info(kind).family;
  return family == NodeFamily::kUnary || family == NodeFamily::kBinary || family == NodeFamily::kCompare ||
         family == NodeFamily::kSelect || family == NodeFamily::kCast;
}

// Nodes that are computed as a whole, from dense operands into a dense result of its own; a device has a program for
// each.
constexpr bool is_whole(NodeFamily family) {
  return family == NodeFamily::kArgReduce || family == NodeFamily::kScan || family == NodeFamily::kGather ||
         family == NodeFamily::kScatter || family == NodeFamily::kArgSort || family == NodeFamily::kSearchSorted ||
         family == NodeFamily::kRandom || family == NodeFamily::kConvolution ||
         family == NodeFamily::kConvolutionGradient || family == NodeFamily::kPooling ||
         family == NodeFamily::kPoolingGradient || family == NodeFamily::kAttention ||
         family == NodeFamily::kAlignment || family == NodeFamily::kFourier || family == NodeFamily::kQuantized;
}

}  // namespace mps
