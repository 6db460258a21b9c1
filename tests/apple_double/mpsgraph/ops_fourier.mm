// Complex tensors and Fourier transforms, as far as the plugin needs them: along the middle one of three axes, and
// without a scale.
#include "tests/apple_double/mpsgraph/graph.h"

using namespace apple_double;
using mps::NodeKind;

namespace apple_double {

struct FFTDescriptorState {
  BOOL inverse = NO, roundToOddHermitean = NO;
  MPSGraphFFTScalingMode scalingMode = MPSGraphFFTScalingModeNone;
};

}  // namespace apple_double

@implementation MPSGraphFFTDescriptor
APPLE_DOUBLE_STATE(FFTDescriptorState)
APPLE_DOUBLE_PROPERTY(FFTDescriptorState, BOOL, inverse, setInverse)
APPLE_DOUBLE_PROPERTY(FFTDescriptorState, BOOL, roundToOddHermitean, setRoundToOddHermitean)
APPLE_DOUBLE_PROPERTY(FFTDescriptorState, MPSGraphFFTScalingMode, scalingMode, setScalingMode)
- (id)copyWithZone:(NSZone*)zone {
  (void)zone;
  MPSGraphFFTDescriptor* const made = [[MPSGraphFFTDescriptor alloc] init];
  state<FFTDescriptorState>(made) = state<FFTDescriptorState>(self);
  return made;
}
+ (instancetype)descriptor {
  return [[[MPSGraphFFTDescriptor alloc] init] autorelease];
}
@end

namespace {

std::vector<int64_t> is_inverse(Recording& recording, const Node& node, NSArray<NSNumber*>* axes,
                                MPSGraphFFTDescriptor* descriptor) {
  const FFTDescriptorState& d = state<FFTDescriptorState>(descriptor);
  const size_t rank = node.shape.size() - (node.is_complex ? 1 : 0);
  require(rank == 3 && [axes count] == 1 && [[axes objectAtIndex:0] longLongValue] == 1, recording.method(),
          ": the double transforms along the middle one of three axes.");
  require(d.scalingMode == MPSGraphFFTScalingModeNone, recording.method(), ": the double knows no scales.");
  return {d.inverse != NO};
}

MPSGraphTensor* part(Recording& recording, MPSGraphTensor* x, int64_t at) {
  const uint32_t operand = recording.operand(x, Takes::kComplex);
  const Shape shape = recording.node(operand).shape;
  std::vector<int64_t> numbers(3 * shape.size(), 0);  // starts, ends, steps
  for (size_t i = 0; i < shape.size(); ++i) {
    const bool last = i + 1 == shape.size();
    numbers[i] = last ? at : 0;
    numbers[shape.size() + i] = last ? at + 1 : shape[i];
    numbers[2 * shape.size() + i] = 1;
  }
  MPSGraphTensor* const found = recording.host(NodeKind::slice, {operand}, std::move(numbers));
  return recording.host(NodeKind::reshape, {recording.operand(found, Takes::kFloats)}, {}, DType::float32,
                        {shape.data(), shape.size() - 1});
}

}  // namespace

@implementation MPSGraph (Fourier)

- (MPSGraphTensor*)complexTensorWithRealTensor:(MPSGraphTensor*)real
                               imaginaryTensor:(MPSGraphTensor*)imaginary
                                          name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  std::vector<uint32_t> parts = {recording.operand(real, Takes::kFloats), recording.operand(imaginary, Takes::kFloats)};
  for (uint32_t& part : parts) {
    require(recording.node(part).dtype == DType::float32, recording.method(),
            ": the double knows complex float32 only.");
    Shape shape = recording.node(part).shape;
    shape.push_back(1);
    part = recording.operand(recording.host(NodeKind::reshape, {part}, {}, DType::float32, shape), Takes::kFloats);
  }
  const int64_t axis = static_cast<int64_t>(recording.node(parts[0]).shape.size()) - 1;
  return recording.complex(recording.host(NodeKind::concatenation, parts, {axis}));
}

- (MPSGraphTensor*)realPartOfTensor:(MPSGraphTensor*)tensor name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  return part(recording, tensor, 0);
}
- (MPSGraphTensor*)imaginaryPartOfTensor:(MPSGraphTensor*)tensor name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  return part(recording, tensor, 1);
}

- (MPSGraphTensor*)fastFourierTransformWithTensor:(MPSGraphTensor*)tensor
                                             axes:(NSArray<NSNumber*>*)axes
                                       descriptor:(MPSGraphFFTDescriptor*)descriptor
                                             name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const uint32_t operand = recording.operand(tensor, Takes::kComplex);
  return recording.complex(recording.host(NodeKind::fast_fourier_transform, {operand},
                                          is_inverse(recording, recording.node(operand), axes, descriptor)));
}

- (MPSGraphTensor*)realToHermiteanFFTWithTensor:(MPSGraphTensor*)tensor
                                           axes:(NSArray<NSNumber*>*)axes
                                     descriptor:(MPSGraphFFTDescriptor*)descriptor
                                           name:(NSString*)name {
  (void)name;
  Recording recording(self, _cmd);
  const uint32_t operand = recording.operand(tensor, Takes::kFloats);
  const std::vector<int64_t> inverse = is_inverse(recording, recording.node(operand), axes, descriptor);
  require(inverse[0] == 0, recording.method(), ": nobody has said that it is right with positive exponents.");
  return recording.complex(recording.host(NodeKind::real_to_hermitean_fft, {operand}, inverse));
}

- (MPSGraphTensor*)HermiteanToRealFFTWithTensor:(MPSGraphTensor*)tensor
                                           axes:(NSArray<NSNumber*>*)axes
                                     descriptor:(MPSGraphFFTDescriptor*)descriptor
                                           name:(NSString*)name {
  (void)tensor, (void)axes, (void)descriptor, (void)name;
  violation("HermiteanToRealFFTWithTensor: numbers come out in reverse (pytorch/pytorch#126649).");
}

@end
