// oneDNN's convolutions. It chooses the layouts it is fastest in; where those are not ours, arrays are reordered on the
// way in and out.
#include <memory>

#include "plugin/host/convolution_kernel_host.h"

#if !defined(MPS_HAS_ONEDNN)

namespace mps {

std::unique_ptr<ConvolutionKernel> make_onednn_convolution(Convolved, const ConvolutionGeometry&) { return nullptr; }

}  // namespace mps

#else

#include <algorithm>
#include <cstring>

#include "plugin/host/onednn_objects_host.h"

namespace mps {
namespace {

using namespace onednn;

constexpr size_t kAlignment = 64;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// A description that belongs to a primitive's.
size_t bytes_of(const_dnnl_memory_desc_t description) { return dnnl_memory_desc_get_size(description); }

class OneDnnConvolution final : public ConvolutionKernel {
 public:
  OneDnnConvolution(Convolved what, const ConvolutionGeometry& geometry) : what_(what), g_(geometry) {
    describe_image(arrays_[0], g_.x);
    describe_weights(arrays_[1]);
    describe_image(arrays_[2], g_.y);
    check(dnnl_primitive_attr_create(attributes_.out()), "create attributes");
    check(dnnl_primitive_attr_set_scratchpad_mode(attributes_, dnnl_scratchpad_mode_user), "set an attribute");
    if (!describe()) return;
    const char* implementation = nullptr;
    check(dnnl_primitive_desc_query(description_, dnnl_query_impl_info_str, 0, &implementation), "name its kernel");
    if (std::strncmp(implementation, "ref", 3) == 0) return;  // oneDNN's own plain loops are slower than ours
    choose_layouts();
    size_t scratchpad = bytes_of(scratchpad_of(description_));
    for (Array& array : arrays_) {
      if (array.is_ours) continue;
      array.at = bytes_;
      bytes_ += aligned(bytes_of(array.theirs));
      scratchpad = std::max(scratchpad, bytes_of(scratchpad_of(array.reorder_description)));
    }
    scratchpad_at_ = bytes_;
    bytes_ += aligned(scratchpad);
    check(dnnl_primitive_create(primitive_.out(), description_), "create a convolution");
  }

  bool usable() const { return primitive_ != nullptr; }

  // Code that oneDNN generates, and some objects.
  size_t bytes() const override { return sizeof *this + (32 << 10); }

  void run(float* x, float* weights, float* y) const override {
    std::unique_ptr<Objects> objects = kept_.borrow();
    if (objects == nullptr) objects = make_objects();
    float* const data[] = {x, weights, y};
    char* const scratch = thread_scratch(bytes_);
    const auto bind = [](dnnl_memory_t memory, void* to) {
      check(dnnl_memory_set_data_handle(memory, to), "bind an array");
    };
    bind(objects->scratchpad, scratch + scratchpad_at_);
    SingleOpenMpThread alone;
    for (size_t i = 0; i < 3; ++i) {
      bind(objects->ours[i], data[i]);
      if (!arrays_[i].is_ours) {
        bind(objects->theirs[i], scratch + arrays_[i].at);
        bind(objects->reorder_scratchpad[i], scratch + scratchpad_at_);
      }
      if (i != result() && !arrays_[i].is_ours) reorder(*objects, i, objects->ours[i], objects->theirs[i]);
    }
    dnnl_exec_arg_t arguments[4];
    for (size_t i = 0; i < 3; ++i) {
      arguments[i] = {argument(i), arrays_[i].is_ours ? objects->ours[i] : objects->theirs[i]};
    }
    arguments[3] = {DNNL_ARG_SCRATCHPAD, objects->scratchpad};
    check(dnnl_primitive_execute(primitive_, objects->stream, 4, arguments), "convolve");
    const size_t i = result();
    if (!arrays_[i].is_ours) reorder(*objects, i, objects->theirs[i], objects->ours[i]);
    kept_.give_back(std::move(objects));
  }

 private:
  // x, the weights or y.
  struct Array {
    MemoryDesc ours, any;
    const_dnnl_memory_desc_t theirs = nullptr;  // belongs to description_
    bool is_ours = true;
    PrimitiveDesc reorder_description;
    Primitive reorder;
    size_t at = 0;  // in the memory of a run, if it is reordered
  };
  struct Objects {
    DnnlMemory ours[3], theirs[3], reorder_scratchpad[3], scratchpad;
    DnnlStream stream;
  };

  size_t result() const { return what_ == Convolved::kX ? 0 : what_ == Convolved::kWeights ? 1 : 2; }

  int argument(size_t i) const {
    const bool backward = what_ != Convolved::kY;
    if (i == 0) return what_ == Convolved::kX ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC;
    if (i == 1) return what_ == Convolved::kWeights ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS;
    return backward ? DNNL_ARG_DIFF_DST : DNNL_ARG_DST;
  }

  dnnl_query_t query(size_t i) const {
    const int is = argument(i);
    if (is == DNNL_ARG_SRC) return dnnl_query_src_md;
    if (is == DNNL_ARG_DIFF_SRC) return dnnl_query_diff_src_md;
    if (is == DNNL_ARG_WEIGHTS) return dnnl_query_weights_md;
    if (is == DNNL_ARG_DIFF_WEIGHTS) return dnnl_query_diff_weights_md;
    return is == DNNL_ARG_DST ? dnnl_query_dst_md : dnnl_query_diff_dst_md;
  }

  static const_dnnl_memory_desc_t scratchpad_of(const_dnnl_primitive_desc_t description) {
    return dnnl_primitive_desc_query_md(description, dnnl_query_scratchpad_md, 0);
  }

  // A stride that is never used must still look like one.
  static void describe_array(Array& array, const std::initializer_list<int64_t>& head_sizes,
                             const std::initializer_list<int64_t>& head_strides, const int64_t* size,
                             const int64_t* stride, int64_t spatial) {
    dnnl_dims_t dims, strides;
    int rank = 0;
    for (int64_t one : head_sizes) dims[rank++] = one;
    std::copy(head_strides.begin(), head_strides.end(), strides);
    for (int64_t i = 3 - spatial; i < 3; ++i, ++rank) {
      dims[rank] = size[i];
      strides[rank] = stride[i];
    }
    for (int i = 0; i < rank; ++i) strides[i] = std::max<int64_t>(strides[i], 1);
    check(dnnl_memory_desc_create_with_strides(array.ours.out(), rank, dims, dnnl_f32, strides), "describe an array");
    check(dnnl_memory_desc_create_with_tag(array.any.out(), rank, dims, dnnl_f32, dnnl_format_tag_any),
          "describe an array");
  }

  void describe_image(Array& array, const Image& image) const {
    describe_array(array, {image.batch, image.channels}, {image.batch_stride, image.channel_stride}, image.size,
                   image.stride, g_.spatial);
  }

  void describe_weights(Array& array) const {
    const int64_t stride[3] = {g_.size[1] * g_.size[2], g_.size[2], 1};
    if (g_.groups == 1) {
      describe_array(array, {g_.y.channels, g_.x.channels}, {g_.output_stride, g_.input_stride}, g_.size, stride,
                     g_.spatial);
    } else {
      describe_array(array, {g_.groups, g_.group_outputs(), g_.group_inputs()},
                     {g_.group_outputs() * g_.output_stride, g_.output_stride, g_.input_stride}, g_.size, stride,
                     g_.spatial);
    }
  }

  bool describe() {
    const int64_t first = 3 - g_.spatial;
    int64_t dilation[3];
    for (size_t i = 0; i < 3; ++i) dilation[i] = g_.dilation[i] - 1;
    const int64_t *step = g_.step + first, *apart = dilation + first, *before = g_.before + first,
                  *behind = g_.behind + first;
    const MemoryDesc &x = arrays_[0].any, &weights = arrays_[1].any, &y = arrays_[2].any;
    const auto done = [](dnnl_status_t status) {
      if (status == dnnl_unimplemented) return false;
      check(status, "describe a convolution");
      return true;
    };
    const bool forward_only = what_ == Convolved::kY;
    PrimitiveDesc hint;
    PrimitiveDesc& forward = forward_only ? description_ : hint;
    if (!done(dnnl_convolution_forward_primitive_desc_create(
            forward.out(), engine(), forward_only ? dnnl_forward_inference : dnnl_forward_training,
            dnnl_convolution_direct, x, weights, nullptr, y, step, apart, before, behind, attributes_))) {
      return false;
    }
    if (what_ == Convolved::kX) {
      return done(dnnl_convolution_backward_data_primitive_desc_create(description_.out(), engine(),
                                                                       dnnl_convolution_direct, x, weights, y, step,
                                                                       apart, before, behind, hint, attributes_));
    }
    if (what_ == Convolved::kWeights) {
      return done(dnnl_convolution_backward_weights_primitive_desc_create(
          description_.out(), engine(), dnnl_convolution_direct, x, weights, nullptr, y, step, apart, before, behind,
          hint, attributes_));
    }
    return true;
  }

  void choose_layouts() {
    for (size_t i = 0; i < 3; ++i) {
      Array& array = arrays_[i];
      array.theirs = dnnl_primitive_desc_query_md(description_, query(i), 0);
      array.is_ours = dnnl_memory_desc_equal(array.ours, array.theirs) != 0;
      if (array.is_ours) continue;
      const const_dnnl_memory_desc_t from = i == result() ? array.theirs : array.ours;
      const const_dnnl_memory_desc_t to = i == result() ? array.ours : array.theirs;
      check(dnnl_reorder_primitive_desc_create(array.reorder_description.out(), from, engine(), to, engine(),
                                               attributes_),
            "describe a reorder");
      check(dnnl_primitive_create(array.reorder.out(), array.reorder_description), "create a reorder");
    }
  }

  void reorder(const Objects& objects, size_t i, dnnl_memory_t from, dnnl_memory_t to) const {
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, objects.reorder_scratchpad[i]}};
    check(dnnl_primitive_execute(arrays_[i].reorder, objects.stream, 3, arguments), "reorder an array");
  }

  std::unique_ptr<Objects> make_objects() const {
    auto objects = std::make_unique<Objects>();
    const auto make = [](DnnlMemory& memory, const_dnnl_memory_desc_t description) {
      check(dnnl_memory_create(memory.out(), description, engine(), DNNL_MEMORY_NONE), "create a memory object");
    };
    for (size_t i = 0; i < 3; ++i) {
      make(objects->ours[i], arrays_[i].ours);
      if (arrays_[i].is_ours) continue;
      make(objects->theirs[i], arrays_[i].theirs);
      make(objects->reorder_scratchpad[i], scratchpad_of(arrays_[i].reorder_description));
    }
    make(objects->scratchpad, scratchpad_of(description_));
    check(dnnl_stream_create(objects->stream.out(), engine(), dnnl_stream_default_flags), "create a stream");
    return objects;
  }

  const Convolved what_;
  const ConvolutionGeometry g_;
  Array arrays_[3];
  Attributes attributes_;
  PrimitiveDesc description_;
  Primitive primitive_;
  size_t scratchpad_at_ = 0, bytes_ = 0;  // of the memory that a run needs
  mutable Kept<Objects> kept_;
};

}  // namespace

std::unique_ptr<ConvolutionKernel> make_onednn_convolution(Convolved what, const ConvolutionGeometry& geometry) {
  SingleOpenMpThread alone;
  auto kernel = std::make_unique<OneDnnConvolution>(what, geometry);
  if (!kernel->usable()) return nullptr;
  return kernel;
}

}  // namespace mps

#endif
