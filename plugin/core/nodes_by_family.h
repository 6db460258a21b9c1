// Expands the pointwise rows of nodes.def through MPS_UNARY_NODE(kind) and MPS_BINARY_NODE(kind)
// (binary and compare), which the includer defines and this file undefines. Other families have
// methods of their own shape and expand to nothing. No include guard: it is meant to be included
// many times.
#define MPS_NODE(kind, family, ...) MPS_NODE_##family(kind)
#define MPS_NODE_kUnary(kind) MPS_UNARY_NODE(kind)
#define MPS_NODE_kBinary(kind) MPS_BINARY_NODE(kind)
#define MPS_NODE_kCompare(kind) MPS_BINARY_NODE(kind)
#define MPS_NODE_kSource(kind)
#define MPS_NODE_kSelect(kind)
#define MPS_NODE_kCast(kind)
#define MPS_NODE_kReshape(kind)
#define MPS_NODE_kTranspose(kind)
#define MPS_NODE_kBroadcast(kind)
#define MPS_NODE_kSlice(kind)
#define MPS_NODE_kConcatenation(kind)
#define MPS_NODE_kStridedView(kind)
#define MPS_NODE_kStridedUpdate(kind)
#define MPS_NODE_kReduce(kind)
#define MPS_NODE_kArgReduce(kind)
#define MPS_NODE_kScan(kind)
#define MPS_NODE_kCoordinate(kind)
#define MPS_NODE_kGather(kind)
#define MPS_NODE_kScatter(kind)
#define MPS_NODE_kArgSort(kind)
#define MPS_NODE_kSearchSorted(kind)
#define MPS_NODE_kRandom(kind)
#define MPS_NODE_kMatmul(kind)
#define MPS_NODE_kConvolution(kind)
#define MPS_NODE_kConvolutionGradient(kind)
#define MPS_NODE_kPooling(kind)
#define MPS_NODE_kPoolingGradient(kind)
#include "plugin/core/nodes.def"
#undef MPS_NODE
#undef MPS_NODE_kUnary
#undef MPS_NODE_kBinary
#undef MPS_NODE_kCompare
#undef MPS_NODE_kSource
#undef MPS_NODE_kSelect
#undef MPS_NODE_kCast
#undef MPS_NODE_kReshape
#undef MPS_NODE_kTranspose
#undef MPS_NODE_kBroadcast
#undef MPS_NODE_kSlice
#undef MPS_NODE_kConcatenation
#undef MPS_NODE_kStridedView
#undef MPS_NODE_kStridedUpdate
#undef MPS_NODE_kReduce
#undef MPS_NODE_kArgReduce
#undef MPS_NODE_kScan
#undef MPS_NODE_kCoordinate
#undef MPS_NODE_kGather
#undef MPS_NODE_kScatter
#undef MPS_NODE_kArgSort
#undef MPS_NODE_kSearchSorted
#undef MPS_NODE_kRandom
#undef MPS_NODE_kMatmul
#undef MPS_NODE_kConvolution
#undef MPS_NODE_kConvolutionGradient
#undef MPS_NODE_kPooling
#undef MPS_NODE_kPoolingGradient
#undef MPS_UNARY_NODE
#undef MPS_BINARY_NODE
