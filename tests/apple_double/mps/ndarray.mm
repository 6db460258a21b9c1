#include "tests/apple_double/mps/ndarray.h"

#include "tests/apple_double/metal/device.h"
#include "tests/apple_double/metal/memory.h"
#include "tests/apple_double/mpsgraph/graph.h"

namespace apple_double {
namespace {

// What the array needs of its buffer, from its offset on.
size_t bytes_of(const NDArrayState& array) {
  int64_t last = 0;
  for (size_t i = 0; i < array.shape.size(); ++i) last += (array.shape[i] - 1) * array.strides[i];
  return static_cast<size_t>(last + 1) * mps::size_of(array.dtype);
}

void check_room(const NDArrayState& array, const char* what) {
  const size_t length = buffer_state(array.buffer, what).length, wanted = bytes_of(array);
  require(array.offset <= length && wanted <= length - array.offset, what, ": `buffer is not large enough. Must be ",
          array.offset + wanted, " bytes`: it has ", length, ". The assertion fails.");
}

MPSNDArray* new_array(id<MTLBuffer> buffer, size_t offset, mps::DType dtype, const mps::Shape& shape, mps::Ints strides,
                      const char* what) {
  check_shape(shape, what);
  require(offset % mps::size_of(dtype) == 0, what, ": offset ", offset, " is not a multiple of the element's size.");
  MPSNDArray* const array = [MPSNDArray alloc];
  NDArrayState& made = state<NDArrayState>(array);
  made.buffer = buffer;
  made.offset = offset;
  made.dtype = dtype;
  made.shape = shape;
  made.strides = std::move(strides);
  check_room(made, what);
  return array;
}

mps::Ints row_strides(const mps::Shape& shape, size_t element, size_t row_bytes) {
  mps::Ints strides = mps::contiguous_strides(shape);
  if (shape.size() < 2) return strides;
  strides[shape.size() - 2] = static_cast<int64_t>(row_bytes / element);
  for (size_t i = shape.size() - 2; i-- > 0;) strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

size_t dimension(const mps::Shape& shape, NSUInteger from_fastest) {
  require(from_fastest < shape.size(), "dimension ", from_fastest, " of ", shape.size(), ".");
  return shape.size() - 1 - from_fastest;
}

}  // namespace

MPSNDArray* new_ndarray(id<MTLBuffer> buffer, const mps::Shape& shape, mps::DType dtype, size_t row_bytes) {
  mps::Ints strides =
      row_bytes == 0 ? mps::contiguous_strides(shape) : row_strides(shape, mps::size_of(dtype), row_bytes);
  return new_array(buffer, 0, dtype, shape, std::move(strides), "MPSGraphTensorData");
}

}  // namespace apple_double

using namespace apple_double;

@implementation MPSNDArrayDescriptor
APPLE_DOUBLE_STATE(NDArrayDescriptorState)
APPLE_DOUBLE_PROPERTY(NDArrayDescriptorState, BOOL, preferPackedRows, setPreferPackedRows)
+ (instancetype)descriptorWithDataType:(MPSDataType)type shape:(NSArray<NSNumber*>*)shape {
  MPSNDArrayDescriptor* const made = [[self alloc] autorelease];
  state<NDArrayDescriptorState>(made).dtype = dtype_of(type, "MPSNDArrayDescriptor");
  state<NDArrayDescriptorState>(made).shape = shape_of(shape, "MPSNDArrayDescriptor");
  check_shape(state<NDArrayDescriptorState>(made).shape, "MPSNDArrayDescriptor");
  return made;
}
+ (instancetype)descriptorWithDataType:(MPSDataType)type
                        dimensionCount:(NSUInteger)count
                        dimensionSizes:(NSUInteger*)sizes {
  mps::Shape shape;
  for (NSUInteger i = count; i-- > 0;) shape.push_back(static_cast<int64_t>(sizes[i]));
  return [self descriptorWithDataType:type shape:numbers_of(shape)];
}
- (MPSDataType)dataType {
  return type_of(state<NDArrayDescriptorState>(self).dtype);
}
- (NSUInteger)numberOfDimensions {
  return state<NDArrayDescriptorState>(self).shape.size();
}
- (NSUInteger)lengthOfDimension:(NSUInteger)from_fastest {
  const mps::Shape& shape = state<NDArrayDescriptorState>(self).shape;
  return static_cast<NSUInteger>(shape[dimension(shape, from_fastest)]);
}
- (NSArray<NSNumber*>*)getShape {
  return numbers_of(state<NDArrayDescriptorState>(self).shape);
}
@end

@implementation MPSNDArray
APPLE_DOUBLE_STATE(NDArrayState)
APPLE_DOUBLE_PROPERTY(NDArrayState, NSString*, label, setLabel)
- (instancetype)initWithBuffer:(id<MTLBuffer>)buffer
                        offset:(NSUInteger)offset
                    descriptor:(MPSNDArrayDescriptor*)descriptor {
  const NDArrayDescriptorState& wanted = state<NDArrayDescriptorState>(descriptor);
  const size_t element = mps::size_of(wanted.dtype);
  const size_t row = wanted.shape.empty() ? element : static_cast<size_t>(wanted.shape.back()) * element;
  [self release];
  return new_array(buffer, offset, wanted.dtype, wanted.shape,
                   row_strides(wanted.shape, element, wanted.preferPackedRows ? row : round_up(row, kRowBytes)),
                   "MPSNDArray initWithBuffer:offset:descriptor:");
}
- (instancetype)initWithDevice:(id<MTLDevice>)device descriptor:(MPSNDArrayDescriptor*)descriptor {
  const NDArrayDescriptorState& wanted = state<NDArrayDescriptorState>(descriptor);
  const size_t bytes = static_cast<size_t>(mps::element_count(wanted.shape)) * mps::size_of(wanted.dtype);
  DoubleBuffer* const buffer = (DoubleBuffer*)[device newBufferWithLength:bytes options:MTLResourceStorageModeShared];
  [self release];
  MPSNDArray* const made = new_ndarray(buffer, wanted.shape, wanted.dtype, 0);
  [buffer release];
  return made;
}
- (id<MTLDevice>)device {
  return given(the_device());
}
- (MPSDataType)dataType {
  return type_of(state<NDArrayState>(self).dtype);
}
- (size_t)dataTypeSize {
  return mps::size_of(state<NDArrayState>(self).dtype);
}
- (NSUInteger)numberOfDimensions {
  return state<NDArrayState>(self).shape.size();
}
- (NSUInteger)lengthOfDimension:(NSUInteger)from_fastest {
  const mps::Shape& shape = state<NDArrayState>(self).shape;
  return static_cast<NSUInteger>(shape[dimension(shape, from_fastest)]);
}
- (id<MTLBuffer>)userBuffer {
  return given(state<NDArrayState>(self).buffer.get());
}
- (MPSNDArray*)arrayViewWithShape:(MPSShape*)shape strides:(MPSShape*)strides {
  const NDArrayState& base = state<NDArrayState>(self);
  require(mps::is_contiguous(base.shape, base.strides), "arrayViewWithShape:strides: of an array that is not dense.");
  mps::Shape wanted = shape == nil ? base.shape : shape_of(shape, "arrayViewWithShape:");
  const mps::Shape steps = shape_of(strides, "arrayViewWithShape:");
  require(steps.size() == wanted.size() && !steps.empty() && steps.back() == 1,
          "arrayViewWithShape:strides: the last stride must be 1.");
  for (size_t i = 1; i < steps.size(); ++i) {
    require(steps[i] <= steps[i - 1], "arrayViewWithShape:strides: strides must not rise.");
  }
  return [new_array(base.buffer, base.offset, base.dtype, wanted, steps, "arrayViewWithShape:strides:") autorelease];
}
@end
