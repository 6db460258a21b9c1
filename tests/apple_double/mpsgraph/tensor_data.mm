#include "tests/apple_double/mpsgraph/tensor_data.h"

#include "tests/apple_double/metal/device.h"
#include "tests/apple_double/mpsgraph/graph.h"

namespace apple_double {
namespace {

struct GraphDeviceState {
  Kept<id<MTLDevice>> metalDevice;
};
struct ShapedTypeState {
  Kept<NSArray*> shape;
  MPSDataType dataType = MPSDataTypeFloat32;
};
struct CompilationDescriptorState {
  MPSGraphOptimization optimizationLevel = MPSGraphOptimizationLevel1;
  BOOL waitForCompilationCompletion = NO;
  MPSGraphReducedPrecisionFastMath reducedPrecisionFastMath = MPSGraphReducedPrecisionFastMathNone;
};
struct ExecutionDescriptorState {
  BOOL waitUntilCompleted = NO;
};
struct SerializationDescriptorState {
  BOOL append = NO;
  MPSGraphDeploymentPlatform deploymentPlatform = MPSGraphDeploymentPlatformMacOS;
  Kept<NSString*> minimumDeploymentTarget;
};

Kept<MPSNDArray*> new_array(id<MTLBuffer> buffer, MPSShape* shape, MPSDataType type, size_t row_bytes) {
  const char* const what = "MPSGraphTensorData";
  return Kept<MPSNDArray*>::adopt(new_ndarray(buffer, shape_of(shape, what), dtype_of(type, what), row_bytes));
}

}  // namespace
}  // namespace apple_double

using namespace apple_double;

@implementation MPSGraphTensorData
APPLE_DOUBLE_STATE(TensorDataState)
- (instancetype)initWithMTLBuffer:(id<MTLBuffer>)buffer shape:(MPSShape*)shape dataType:(MPSDataType)type {
  self = [super init];
  state<TensorDataState>(self).array = new_array(buffer, shape, type, 0);
  return self;
}
- (instancetype)initWithMTLBuffer:(id<MTLBuffer>)buffer
                            shape:(MPSShape*)shape
                         dataType:(MPSDataType)type
                         rowBytes:(NSUInteger)row_bytes {
  self = [super init];
  state<TensorDataState>(self).array = new_array(buffer, shape, type, row_bytes);
  return self;
}
- (instancetype)initWithMPSNDArray:(MPSNDArray*)array {
  self = [super init];
  require([array isKindOfClass:[MPSNDArray class]], "initWithMPSNDArray: expected an MPSNDArray, got ",
          public_name(array), ".");
  state<TensorDataState>(self).array = array;
  return self;
}
- (MPSNDArray*)mpsndarray {
  return given(state<TensorDataState>(self).array.get());
}
- (MPSShape*)shape {
  return numbers_of(state<NDArrayState>(state<TensorDataState>(self).array).shape);
}
- (MPSDataType)dataType {
  return [state<TensorDataState>(self).array.get() dataType];
}
- (MPSGraphDevice*)device {
  return [MPSGraphDevice deviceWithMTLDevice:the_device()];
}
@end

@implementation MPSGraphDevice
APPLE_DOUBLE_STATE(GraphDeviceState)
APPLE_DOUBLE_READONLY(GraphDeviceState, id<MTLDevice>, metalDevice)
+ (instancetype)deviceWithMTLDevice:(id<MTLDevice>)device {
  require(device != nil, "deviceWithMTLDevice: nil.");
  MPSGraphDevice* const made = [[[self alloc] init] autorelease];
  state<GraphDeviceState>(made).metalDevice = device;
  return made;
}
- (MPSGraphDeviceType)type {
  return MPSGraphDeviceTypeMetal;
}
@end

@implementation MPSGraphType
- (id)copyWithZone:(NSZone*)zone {
  (void)zone;
  return [self retain];
}
@end

@implementation MPSGraphShapedType
APPLE_DOUBLE_STATE(ShapedTypeState)
APPLE_DOUBLE_PROPERTY(ShapedTypeState, MPSShape*, shape, setShape)
APPLE_DOUBLE_PROPERTY(ShapedTypeState, MPSDataType, dataType, setDataType)
- (instancetype)initWithShape:(MPSShape*)shape dataType:(MPSDataType)type {
  self = [super init];
  state<ShapedTypeState>(self).shape = shape;
  state<ShapedTypeState>(self).dataType = type;
  return self;
}
@end

@implementation MPSGraphCompilationDescriptor
APPLE_DOUBLE_STATE(CompilationDescriptorState)
APPLE_DOUBLE_PROPERTY(CompilationDescriptorState, MPSGraphOptimization, optimizationLevel, setOptimizationLevel)
APPLE_DOUBLE_PROPERTY(CompilationDescriptorState, BOOL, waitForCompilationCompletion, setWaitForCompilationCompletion)
APPLE_DOUBLE_PROPERTY(CompilationDescriptorState, MPSGraphReducedPrecisionFastMath, reducedPrecisionFastMath,
                      setReducedPrecisionFastMath)
- (void)disableTypeInference {
}
- (id)copyWithZone:(NSZone*)zone {
  (void)zone;
  MPSGraphCompilationDescriptor* const made = [[MPSGraphCompilationDescriptor alloc] init];
  state<CompilationDescriptorState>(made) = state<CompilationDescriptorState>(self);
  return made;
}
@end

@implementation MPSGraphExecutableExecutionDescriptor
APPLE_DOUBLE_STATE(ExecutionDescriptorState)
APPLE_DOUBLE_PROPERTY(ExecutionDescriptorState, BOOL, waitUntilCompleted, setWaitUntilCompleted)
- (id)copyWithZone:(NSZone*)zone {
  (void)zone;
  return [self retain];
}
@end

@implementation MPSGraphExecutableSerializationDescriptor
APPLE_DOUBLE_STATE(SerializationDescriptorState)
APPLE_DOUBLE_PROPERTY(SerializationDescriptorState, BOOL, append, setAppend)
APPLE_DOUBLE_PROPERTY(SerializationDescriptorState, MPSGraphDeploymentPlatform, deploymentPlatform,
                      setDeploymentPlatform)
APPLE_DOUBLE_PROPERTY(SerializationDescriptorState, NSString*, minimumDeploymentTarget, setMinimumDeploymentTarget)
@end
