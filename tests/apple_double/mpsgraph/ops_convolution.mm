// Convolutions in two dimensions and their gradients, as far as others have seen them to be right: float32, channels in
// front, explicit padding, windows and results that are not large.
#include <algorithm>

#include "plugin/core/sliding.h"
#include "tests/apple_double/mpsgraph/graph.h"

using namespace apple_double;
using mps::NodeKind;
using mps::Sliding;

namespace apple_double {

struct ConvolutionDescriptorState {
  NSUInteger strideInX = 1, strideInY = 1, dilationRateInX = 1, dilationRateInY = 1, groups = 1;
  NSUInteger paddingLeft = 0, paddingRight = 0, paddingTop = 0, paddingBottom = 0;
  MPSGraphPaddingStyle paddingStyle = MPSGraphPaddingStyleExplicit;
  MPSGraphTensorNamedDataLayout dataLayout = MPSGraphTensorNamedDataLayoutNCHW;
  MPSGraphTensorNamedDataLayout weightsLayout = MPSGraphTensorNamedDataLayoutOIHW;
};

}  // namespace apple_double

@implementation MPSGraphConvolution2DOpDescriptor
APPLE_DOUBLE_STATE(ConvolutionDescriptorState)
APPLE_DOUBLE_PROPERTY(ConvolutionDescriptorState, NSUInteger, strideInX, setStrideInX)
APPLE_DOUBLE_PROPERTY(ConvolutionDescriptorState, NSUInteger, strideInY, setStrideInY)
APPLE_DOUBLE_PROPERTY(ConvolutionDescriptorState, NSUInteger, dilationRateInX, setDilationRateInX)
APPLE_DOUBLE_PROPERTY(ConvolutionDescriptorState, NSUInteger, dilationRateInY, setDilationRateInY)
APPLE_DOUBLE_PROPERTY(ConvolutionDescriptorState, NSUInteger, groups, setGroups)
APPLE_DOUBLE_PROPERTY(ConvolutionDescriptorState, NSUInteger, paddingLeft, setPaddingLeft)
APPLE_DOUBLE_PROPERTY(ConvolutionDescriptorState, NSUInteger, paddingRight, setPaddingRight)
APPLE_DOUBLE_PROPERTY(ConvolutionDescriptorState, NSUInteger, paddingTop, setPaddingTop)
APPLE_DOUBLE_PROPERTY(ConvolutionDescriptorState, NSUInteger, paddingBottom, setPaddingBottom)
APPLE_DOUBLE_PROPERTY(ConvolutionDescriptorState, MPSGraphPaddingStyle, paddingStyle, setPaddingStyle)
APPLE_DOUBLE_PROPERTY(ConvolutionDescriptorState, MPSGraphTensorNamedDataLayout, dataLayout, setDataLayout)
APPLE_DOUBLE_PROPERTY(ConvolutionDescriptorState, MPSGraphTensorNamedDataLayout, weightsLayout, setWeightsLayout)
- (id)copyWithZone:(NSZone*)zone {
  (void)zone;
  MPSGraphConvolution2DOpDescriptor* const made = [[MPSGraphConvolution2DOpDescriptor alloc] init];
  state<ConvolutionDescriptorState>(made) = state<ConvolutionDescriptorState>(self);
  return made;
}
+ (instancetype)descriptorWithStrideInX:(NSUInteger)strideInX
                              strideInY:(NSUInteger)strideInY
                        dilationRateInX:(NSUInteger)dilationRateInX
                        dilationRateInY:(NSUInteger)dilationRateInY
                                 groups:(NSUInteger)groups
                            paddingLeft:(NSUInteger)paddingLeft
                           paddingRight:(NSUInteger)paddingRight
                             paddingTop:(NSUInteger)paddingTop
                          paddingBottom:(NSUInteger)paddingBottom
                           paddingStyle:(MPSGraphPaddingStyle)paddingStyle
                             dataLayout:(MPSGraphTensorNamedDataLayout)dataLayout
                          weightsLayout:(MPSGraphTensorNamedDataLayout)weightsLayout {
  MPSGraphConvolution2DOpDescriptor* const made = [[[MPSGraphConvolution2DOpDescriptor alloc] init] autorelease];
  state<ConvolutionDescriptorState>(made) = {strideInX,     strideInY,    dilationRateInX, dilationRateInY,
                                             groups,        paddingLeft,  paddingRight,    paddingTop,
                                             paddingBottom, paddingStyle, dataLayout,      weightsLayout};
  return made;
}
@end

namespace {

// `window` is that of the weights [O, I, H, W], `made` the image that is made or read at the window's places.
std::vector<int64_t> attributes(const Recording& recording, MPSGraphConvolution2DOpDescriptor* descriptor,
                                const Shape& window, const Shape& made) {
  const ConvolutionDescriptorState& d = state<ConvolutionDescriptorState>(descriptor);
  require(d.paddingStyle == MPSGraphPaddingStyleExplicit, recording.method(),
          ": padding other than explicit is not what Paddle means.");
  require(d.dataLayout == MPSGraphTensorNamedDataLayoutNCHW && d.weightsLayout == MPSGraphTensorNamedDataLayoutOIHW,
          recording.method(), ": with channels last results were wrong (pytorch/pytorch#180984).");
  require(window.size() == 4 && made.size() == 4, recording.method(), ": expected four axes each, got weights ",
          mps::to_string(window), " and an image ", mps::to_string(made), ".");
  require(std::max({made[1], made[2], made[3]}) <= 65536, recording.method(), ": ", mps::to_string(made),
          ": more than 65536 channels or elements of an axis come out wrong (pytorch/pytorch#129207).");
  // Threadgroup memory, which grows with the batch as well.
  require(std::max(window[2], window[3]) * std::min<int64_t>(made[0], 8) < 256, recording.method(), ": windows of ",
          mps::to_string(window), " come out wrong in batches (pytorch/pytorch#188335).");
  Sliding sliding;
  const auto number = [](NSUInteger value) { return static_cast<int64_t>(value); };
  sliding.groups = number(d.groups);
  sliding.size = {window[2], window[3]};
  sliding.strides = {number(d.strideInY), number(d.strideInX)};
  sliding.dilations = {number(d.dilationRateInY), number(d.dilationRateInX)};
  sliding.before = {number(d.paddingTop), number(d.paddingLeft)};
  sliding.padding = {number(d.paddingBottom), number(d.paddingRight)};
  const Ints all = sliding.attributes();
  return {all.begin(), all.end()};
}

std::vector<uint32_t> operands_of(Recording& recording, MPSGraphTensor* x, MPSGraphTensor* y) {
  const std::vector<uint32_t> operands = {recording.operand(x, Takes::kFloats), recording.operand(y, Takes::kFloats)};
  require(recording.node(operands[0]).dtype == DType::float32, recording.method(),
          ": nobody says in which precision short floats are summed, and gradients may end with `destination datatype "
          "must be fp32`.");
  return operands;
}

}  // namespace

@implementation MPSGraph (Convolution)

- (MPSGraphTensor*)convolution2DWithSourceTensor:(MPSGraphTensor*)source
                                   weightsTensor:(MPSGraphTensor*)weights
                                      descriptor:(MPSGraphConvolution2DOpDescriptor*)descriptor
                                            name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const std::vector<uint32_t> operands = operands_of(recording, source, weights);
  const Shape x = recording.node(operands[0]).shape, window = recording.node(operands[1]).shape;
  MPSGraphTensor* const result =
      recording.host(NodeKind::convolution_2d, operands, attributes(recording, descriptor, window, {x[0], 1, 1, 1}));
  attributes(recording, descriptor, window, recording.node(result).shape);
  return result;
}

- (MPSGraphTensor*)convolution2DDataGradientWithIncomingGradientTensor:(MPSGraphTensor*)gradient
                                                         weightsTensor:(MPSGraphTensor*)weights
                                                           outputShape:(MPSShape*)outputShape
                                          forwardConvolutionDescriptor:(MPSGraphConvolution2DOpDescriptor*)descriptor
                                                                  name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const std::vector<uint32_t> operands = operands_of(recording, gradient, weights);
  const Shape shape = shape_of(outputShape, "outputShape"), window = recording.node(operands[1]).shape;
  return recording.host(NodeKind::convolution_2d_data_gradient, operands,
                        attributes(recording, descriptor, window, shape), DType::float32, shape);
}

- (MPSGraphTensor*)convolution2DWeightsGradientWithIncomingGradientTensor:(MPSGraphTensor*)gradient
                                                             sourceTensor:(MPSGraphTensor*)source
                                                              outputShape:(MPSShape*)outputShape
                                             forwardConvolutionDescriptor:(MPSGraphConvolution2DOpDescriptor*)descriptor
                                                                     name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const std::vector<uint32_t> operands = operands_of(recording, gradient, source);
  const Shape shape = shape_of(outputShape, "outputShape");
  return recording.host(NodeKind::convolution_2d_weights_gradient, operands,
                        attributes(recording, descriptor, shape, recording.node(operands[0]).shape), DType::float32,
                        shape);
}

@end
