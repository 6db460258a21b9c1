#include "plugin/metal/lower_metal.h"

#include <cmath>
#include <cstring>

#include "plugin/core/check.h"
#include "plugin/metal/legal/legal.h"
#include "plugin/metal/legal/shapes.h"
#include "plugin/metal/objc.h"
#include "plugin/metal/os.h"

namespace mps {
namespace {

using Unary = MPSGraphTensor* (*)(MPSGraph*, SEL, MPSGraphTensor*, NSString*);
using Binary = MPSGraphTensor* (*)(MPSGraph*, SEL, MPSGraphTensor*, MPSGraphTensor*, NSString*);
using Reduction = MPSGraphTensor* (*)(MPSGraph*, SEL, MPSGraphTensor*, NSArray<NSNumber*>*, NSString*);
using Scan = MPSGraphTensor* (*)(MPSGraph*, SEL, MPSGraphTensor*, NSInteger, BOOL, BOOL, NSString*);

NSArray<NSNumber*>* numbers(Dims dims) {
  NSMutableArray<NSNumber*>* const array = [NSMutableArray arrayWithCapacity:dims.size()];
  for (int64_t dim : dims) [array addObject:[NSNumber numberWithLongLong:dim]];
  return array;
}

class Lowering {
 public:
  explicit Lowering(const Graph& from) : from_(from), tensors_(from.node_count(), nil) {
    to_.graph = graph_ = autorelease([MPSGraph new]);
    graph_.options = MPSGraphOptionsNone;  // memory is shared: there are no results to bring to the CPU
    to_.feeds = [NSMutableArray arrayWithCapacity:from.feed_count()];
    to_.results = [NSMutableArray arrayWithCapacity:from.results().size()];
    const std::vector<bool> live = legal::find_live(from);
    for (uint32_t i = 0; i < from.node_count(); ++i) {
      if (live[i]) tensors_[i] = lower_node(from.node(i));
    }
    for (uint32_t result : from.results()) {
      // What a graph returns has to be computed by it.
      const bool computed = from.node(result).kind != NodeKind::constant;
      [to_.results addObject:computed ? tensors_[result] : [graph_ identityWithTensor:tensors_[result] name:nil]];
    }
  }

  const Lowered& lowered() const { return to_; }

 private:
  MPSGraphTensor* operand(const Node& node, size_t i) const { return tensors_[from_.operand(node, i).node]; }
  Dims tail(const Node& node, size_t start) const {
    const Dims attributes = from_.attributes(node);
    return {attributes.data() + start, attributes.size() - start};
  }

  // The method that a row of nodes.def names. Legalisation has made sure that this macOS has it.
  template <class Method>
  static Method method(MPSGraph* graph, const Node& node, SEL* selector) {
    *selector = NSSelectorFromString(ns_string(info(node.kind).selector));
    // By way of the type that stands for any function, since IMP takes any arguments.
    return reinterpret_cast<Method>(reinterpret_cast<void (*)()>([graph methodForSelector:*selector]));
  }

  MPSGraphTensor* lower_node(const Node& node) {
    MPSShape* const shape = mps_shape(from_.shape(node));
    SEL selector = nullptr;
    switch (info(node.kind).family) {
      case NodeFamily::kSource:
        return node.kind == NodeKind::constant ? constant(node, shape) : feed(node, shape);
      case NodeFamily::kUnary: {
        const auto send = method<Unary>(graph_, node, &selector);
        return send(graph_, selector, operand(node, 0), nil);
      }
      case NodeFamily::kBinary:
      case NodeFamily::kCompare: {
        if (MPSGraphTensor* const test = nan_test(node)) return test;
        const auto send = method<Binary>(graph_, node, &selector);
        return send(graph_, selector, operand(node, 0), operand(node, 1), nil);
      }
      case NodeFamily::kSelect:
        return [graph_ selectWithPredicateTensor:operand(node, 0)
                             truePredicateTensor:operand(node, 1)
                            falsePredicateTensor:operand(node, 2)
                                            name:nil];
      case NodeFamily::kCast:
        return [graph_ castTensor:operand(node, 0) toType:mps_type(node.dtype) name:nil];
      case NodeFamily::kReshape:
        return [graph_ reshapeTensor:operand(node, 0) withShape:shape name:nil];
      case NodeFamily::kTranspose:
        return transpose(node);
      case NodeFamily::kBroadcast:
        return [graph_ broadcastTensor:operand(node, 0) toShape:shape name:nil];
      case NodeFamily::kSlice:
        return slice(node);
      case NodeFamily::kConcatenation:
        return concatenation(node);
      case NodeFamily::kStridedView:
        return strided_view(node, shape);
      case NodeFamily::kReduce:
        return reduction(node);
      case NodeFamily::kScan:
        return scan(node);
      case NodeFamily::kCoordinate:
        return count_to(from_.shape(node)[0], shape);
      case NodeFamily::kGather:
        return [graph_ gatherWithUpdatesTensor:operand(node, 1)
                                 indicesTensor:operand(node, 0)
                                          axis:1
                               batchDimensions:0
                                          name:nil];
      case NodeFamily::kScatter:
        return [graph_ scatterWithDataTensor:operand(node, 0)
                               updatesTensor:operand(node, 2)
                               indicesTensor:operand(node, 1)
                                        axis:1
                                        mode:scatter_mode(static_cast<ScatterMode>(from_.attributes(node)[0]))
                                        name:nil];
      case NodeFamily::kMatmul:
        return [graph_ matrixMultiplicationWithPrimaryTensor:operand(node, 0)
                                             secondaryTensor:operand(node, 1)
                                                        name:nil];
      case NodeFamily::kConvolution:
        return [graph_ convolution2DWithSourceTensor:operand(node, 0)
                                       weightsTensor:operand(node, 1)
                                          descriptor:sliding(node)
                                                name:nil];
      case NodeFamily::kConvolutionGradient:
        if (node.kind == NodeKind::convolution_2d_data_gradient) {
          return [graph_ convolution2DDataGradientWithIncomingGradientTensor:operand(node, 0)
                                                               weightsTensor:operand(node, 1)
                                                                 outputShape:shape
                                                forwardConvolutionDescriptor:sliding(node)
                                                                        name:nil];
        }
        return [graph_ convolution2DWeightsGradientWithIncomingGradientTensor:operand(node, 0)
                                                                 sourceTensor:operand(node, 1)
                                                                  outputShape:shape
                                                 forwardConvolutionDescriptor:sliding(node)
                                                                         name:nil];
      case NodeFamily::kPooling:
      case NodeFamily::kPoolingGradient:
      case NodeFamily::kAttention:
      case NodeFamily::kAlignment:
      case NodeFamily::kStridedUpdate:
      case NodeFamily::kArgReduce:
      case NodeFamily::kArgSort:
      case NodeFamily::kSearchSorted:
      case NodeFamily::kRandom:
        break;
      case NodeFamily::kFourier:
        return fourier(node);
      case NodeFamily::kQuantized:
        if (node.kind == NodeKind::dequantize) return dequantize(node);
    }
    MPS_THROW(kInternal, "not a legal node: got ", info(node.kind).name, ".");
  }

  MPSGraphTensor* feed(const Node& node, MPSShape* shape) {
    MPSGraphTensor* const tensor = [graph_ placeholderWithShape:shape dataType:mps_type(node.dtype) name:nil];
    to_.feed_numbers.push_back(static_cast<uint32_t>(from_.attributes(node)[0]));
    [to_.feeds addObject:tensor];
    return tensor;
  }

  // As a number where that keeps every bit, which the compiler of graphs may then fold; else as data.
  MPSGraphTensor* constant(const Node& node, MPSShape* shape) {
    const int64_t bits = from_.attributes(node)[0];
    const MPSDataType type = mps_type(node.dtype);
    const double value = visit(node.dtype, [&](auto zero) {
      std::memcpy(static_cast<void*>(&zero), &bits, sizeof zero);
      using Number = std::conditional_t<std::is_integral_v<decltype(zero)>, decltype(zero), float>;
      return static_cast<double>(static_cast<Number>(zero));
    });
    const bool exact = node.dtype == DType::int64 ? std::abs(value) < 9007199254740992.0 : !std::isnan(value);
    if (exact) return [graph_ constantWithScalar:value shape:shape dataType:type];
    NSData* const data = [NSData dataWithBytes:&bits length:size_of(node.dtype)];
    MPSGraphTensor* const one = [graph_ constantWithData:data shape:mps_shape({}) dataType:type];
    return [graph_ broadcastTensor:one toShape:shape name:nil];
  }

  MPSGraphTensor* transpose(const Node& node) {
    const Dims permutation = from_.attributes(node);
    if (MPS_AVAILABLE(13, 0)) {
      return [graph_ transposeTensor:operand(node, 0) permutation:numbers(permutation) name:nil];
    }
    size_t first = 0;  // of the two axes that are swapped
    while (permutation[first] == static_cast<int64_t>(first)) ++first;
    return [graph_ transposeTensor:operand(node, 0)
                         dimension:first
                     withDimension:static_cast<NSUInteger>(permutation[first])
                              name:nil];
  }

  MPSGraphTensor* dequantize(const Node& node) {
    if (MPS_AVAILABLE(13, 1)) {
      return [graph_ dequantizeTensor:operand(node, 0)
                          scaleTensor:operand(node, 1)
                            zeroPoint:0
                             dataType:mps_type(node.dtype)
                                 axis:static_cast<NSInteger>(from_.attributes(node)[0])
                                 name:nil];
    }
    MPS_THROW(kInternal, "dequantize: expected macOS 13.1, which legalisation asks for.");
  }

  // Complex tensors are only between these methods: others are not known to take them.
  MPSGraphTensor* fourier(const Node& node) {
    if (MPS_AVAILABLE(14, 0)) {
      MPSGraphFFTDescriptor* const what = [MPSGraphFFTDescriptor descriptor];
      what.inverse = Fourier::of(from_.attributes(node)).inverse;
      MPSGraphTensor* found = nil;
      if (node.kind == NodeKind::real_to_hermitean_fft) {
        found = [graph_ realToHermiteanFFTWithTensor:operand(node, 0) axes:numbers({1}) descriptor:what name:nil];
      } else {
        MPSGraphTensor* const complex = [graph_ complexTensorWithRealTensor:part(node, 0)
                                                            imaginaryTensor:part(node, 1)
                                                                       name:nil];
        found = [graph_ fastFourierTransformWithTensor:complex axes:numbers({1}) descriptor:what name:nil];
      }
      const Dims to = from_.shape(node);
      MPSShape* const one = mps_shape({to[0], to[1], to[2], 1});
      MPSGraphTensor* const re = [graph_ realPartOfTensor:found name:nil];
      MPSGraphTensor* const im = [graph_ imaginaryPartOfTensor:found name:nil];
      return [graph_ concatTensors:@[
        [graph_ reshapeTensor:re withShape:one name:nil], [graph_ reshapeTensor:im withShape:one name:nil]
      ]
                         dimension:3
                              name:nil];
    }
    MPS_THROW(kInternal, info(node.kind).name, ": expected macOS 14.0, which legalisation asks for.");
  }

  // One of the two parts of a Fourier transform's operand, without the axis of parts.
  MPSGraphTensor* part(const Node& node, int64_t at) {
    const Dims from = from_.shape(from_.operand(node, 0));
    MPSGraphTensor* const found = [graph_ sliceTensor:operand(node, 0)
                                               starts:numbers({0, 0, 0, at})
                                                 ends:numbers({from[0], from[1], from[2], at + 1})
                                              strides:numbers({1, 1, 1, 1})
                                                 name:nil];
    return [graph_ reshapeTensor:found withShape:mps_shape({from[0], from[1], from[2]}) name:nil];
  }

  MPSGraphTensor* slice(const Node& node) {
    const Dims starts(from_.attributes(node).data(), node.rank), steps = tail(node, node.rank);
    Ints ends;
    for (size_t i = 0; i < node.rank; ++i) {
      ends.push_back(starts[i] + (from_.shape(node)[i] - 1) * steps[i] + 1);
    }
    return [graph_ sliceTensor:operand(node, 0)
                        starts:numbers(starts)
                          ends:numbers(ends)
                       strides:numbers(steps)
                          name:nil];
  }

  MPSGraphTensor* concatenation(const Node& node) {
    NSMutableArray<MPSGraphTensor*>* const parts = [NSMutableArray arrayWithCapacity:node.operand_count];
    for (size_t i = 0; i < node.operand_count; ++i) [parts addObject:operand(node, i)];
    return [graph_ concatTensors:parts dimension:static_cast<NSInteger>(from_.attributes(node)[0]) name:nil];
  }

  MPSGraphTensor* strided_view(const Node& node, MPSShape* shape) {
    const int64_t offset = from_.attributes(node)[0];
    const Dims strides = tail(node, 1);
    Ints axes;
    if (legal::is_reverse(from_.shape(node), strides, offset, &axes)) {
      MPSGraphTensor* const dense = [graph_ reshapeTensor:operand(node, 0) withShape:shape name:nil];
      return [graph_ reverseTensor:dense axes:numbers(axes) name:nil];
    }
    // A gather, at an index that grows by one axis after the other and stays flat.
    MPSGraphTensor* index = int32(offset);
    int64_t count = 1;
    for (size_t i = 0; i < strides.size(); ++i) {
      const int64_t size = from_.shape(node)[i];
      MPSGraphTensor* const steps = [graph_ multiplicationWithPrimaryTensor:count_to(size, mps_shape({1, size}))
                                                            secondaryTensor:int32(strides[i])
                                                                       name:nil];
      index = [graph_ reshapeTensor:index withShape:mps_shape({count, 1}) name:nil];
      index = [graph_ additionWithPrimaryTensor:index secondaryTensor:steps name:nil];
      count *= size;
    }
    index = [graph_ reshapeTensor:index withShape:mps_shape({count}) name:nil];
    MPSGraphTensor* const found = [graph_ gatherWithUpdatesTensor:operand(node, 0)
                                                    indicesTensor:index
                                                             axis:0
                                                  batchDimensions:0
                                                             name:nil];
    return [graph_ reshapeTensor:found withShape:shape name:nil];
  }

  MPSGraphTensor* int32(int64_t value) {
    return [graph_ constantWithScalar:static_cast<double>(value) shape:mps_shape({}) dataType:MPSDataTypeInt32];
  }

  // 0, 1, 2 ... along the last axis; the others have size 1.
  MPSGraphTensor* count_to(int64_t size, MPSShape* shape) {
    if (MPS_AVAILABLE(12, 3)) {
      MPSGraphTensor* const made = [graph_ coordinateAlongAxis:static_cast<NSInteger>([shape count]) - 1
                                                     withShape:shape
                                                          name:nil];
      return [graph_ castTensor:made toType:MPSDataTypeInt32 name:nil];
    }
    std::vector<int32_t> values(static_cast<size_t>(size));
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int32_t>(i);
    NSData* const data = [NSData dataWithBytes:values.data() length:values.size() * sizeof values[0]];
    return [graph_ constantWithData:data shape:shape dataType:MPSDataTypeInt32];
  }

  // A float that is compared with itself is asked for NaN; a compiler with fast math may take it for equal.
  MPSGraphTensor* nan_test(const Node& node) {
    const bool equal = node.kind == NodeKind::equal, not_equal = node.kind == NodeKind::not_equal;
    if (!(equal || not_equal) || operand(node, 0) != operand(node, 1)) return nil;
    if (!is_float(from_.dtype(from_.operand(node, 0)))) return nil;
    MPSGraphTensor* const is_nan = [graph_ isNaNWithTensor:operand(node, 0) name:nil];
    return equal ? [graph_ notWithTensor:is_nan name:nil] : is_nan;
  }

  // The method that the table names propagates NaN; integers have none, and no kernel for it.
  MPSGraphTensor* reduction(const Node& node) {
    NSArray<NSNumber*>* const axes = numbers(from_.attributes(node));
    if (is_integer(node.dtype) && node.kind == NodeKind::reduction_maximum) {
      return [graph_ reductionMaximumWithTensor:operand(node, 0) axes:axes name:nil];
    }
    if (is_integer(node.dtype) && node.kind == NodeKind::reduction_minimum) {
      return [graph_ reductionMinimumWithTensor:operand(node, 0) axes:axes name:nil];
    }
    SEL selector = nullptr;
    const auto send = method<Reduction>(graph_, node, &selector);
    return send(graph_, selector, operand(node, 0), axes, nil);
  }

  MPSGraphTensor* scan(const Node& node) {
    SEL selector = nullptr;
    const auto send = method<Scan>(graph_, node, &selector);
    const Dims attributes = from_.attributes(node);
    return send(graph_, selector, operand(node, 0), static_cast<NSInteger>(attributes[0]), attributes[1] != 0,
                attributes[2] != 0, nil);
  }

  // Images and weights have their channels in front.
  MPSGraphConvolution2DOpDescriptor* sliding(const Node& node) {
    const Sliding from = Sliding::of(from_.attributes(node));
    const auto number = [](int64_t value) { return static_cast<NSUInteger>(value); };
    return [MPSGraphConvolution2DOpDescriptor descriptorWithStrideInX:number(from.strides[1])
                                                            strideInY:number(from.strides[0])
                                                      dilationRateInX:number(from.dilations[1])
                                                      dilationRateInY:number(from.dilations[0])
                                                               groups:number(from.groups)
                                                          paddingLeft:number(from.before[1])
                                                         paddingRight:number(from.padding[1])
                                                           paddingTop:number(from.before[0])
                                                        paddingBottom:number(from.padding[0])
                                                         paddingStyle:MPSGraphPaddingStyleExplicit
                                                           dataLayout:MPSGraphTensorNamedDataLayoutNCHW
                                                        weightsLayout:MPSGraphTensorNamedDataLayoutOIHW];
  }

  static MPSGraphScatterMode scatter_mode(ScatterMode mode) {
    switch (mode) {
      case ScatterMode::kSet:
        return MPSGraphScatterModeSet;
      case ScatterMode::kAdd:
        return MPSGraphScatterModeAdd;
      case ScatterMode::kMultiply:
        return MPSGraphScatterModeMul;
      case ScatterMode::kMinimum:
        return MPSGraphScatterModeMin;
      case ScatterMode::kMaximum:
        return MPSGraphScatterModeMax;
    }
    __builtin_unreachable();
  }

  const Graph& from_;
  MPSGraph* graph_ = nil;
  Lowered to_;
  std::vector<MPSGraphTensor*> tensors_;
};

}  // namespace

// The constants are numbers, which every macOS takes; which dtypes an MPSGraph may have is up to legalisation.
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunguarded-availability"
MPSDataType mps_type(DType dtype) {
  switch (dtype) {
#define MPS_DTYPE(enumerator, name, bytes, kind, host_type, metal_name, mps_enum, phi_enum) \
  case DType::enumerator:                                                                   \
    return mps_enum;
#include "plugin/core/dtype.def"
#undef MPS_DTYPE
  }
  __builtin_unreachable();
}
#pragma clang diagnostic pop

MPSShape* mps_shape(Dims shape) { return shape.empty() ? @[ @1 ] : numbers(shape); }

const char* lowering_version() { return MPS_LOWERING_VERSION; }

Lowered lower_metal(const Graph& legal) { return Lowering(legal).lowered(); }

}  // namespace mps
