// oneDNN's matrix products.
#include <memory>

#include "plugin/host/matmul_kernel_host.h"

#if !defined(MPS_HAS_ONEDNN)

namespace mps {

std::unique_ptr<MatmulKernel> make_onednn_matmul(DType, const MatmulGeometry&) { return nullptr; }
std::unique_ptr<MatmulKernel> make_onednn_gemm(const MatmulGeometry&) { return nullptr; }
std::unique_ptr<MatmulKernel> make_onednn_int8_matmul(const MatmulGeometry&) { return nullptr; }

}  // namespace mps

#else

#include <algorithm>
#include <cstring>

#include "plugin/host/onednn_objects_host.h"

namespace mps {
namespace {

using namespace onednn;

class OneDnnMatmul final : public MatmulKernel {
 public:
  OneDnnMatmul(dnnl_data_type_t type, dnnl_data_type_t result, const MatmulGeometry& geometry) {
    describe(x_, type, geometry.x_batch == 0 ? 1 : geometry.batch, geometry.rows, geometry.inner, geometry.x_batch,
             geometry.x_row, geometry.x_inner);
    describe(y_, type, geometry.y_batch == 0 ? 1 : geometry.batch, geometry.inner, geometry.columns, geometry.y_batch,
             geometry.y_inner, geometry.y_column);
    describe(to_, result, geometry.batch, geometry.rows, geometry.columns, geometry.to_batch, geometry.to_row, 1);
    Attributes attributes;
    check(dnnl_primitive_attr_create(attributes.out()), "create attributes");
    check(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user), "set an attribute");
    const dnnl_status_t status =
        dnnl_matmul_primitive_desc_create(description_.out(), engine(), x_, y_, nullptr, to_, attributes);
    if (status == dnnl_unimplemented) return;
    check(status, "describe a matrix product");
    const char* implementation = nullptr;
    check(dnnl_primitive_desc_query(description_, dnnl_query_impl_info_str, 0, &implementation), "name its kernel");
    if (std::strncmp(implementation, "ref", 3) == 0) return;  // oneDNN's own plain loops are slower than ours
    scratchpad_ = dnnl_primitive_desc_query_md(description_, dnnl_query_scratchpad_md, 0);
    scratchpad_bytes_ = dnnl_memory_desc_get_size(scratchpad_);
    check(dnnl_primitive_create(primitive_.out(), description_), "create a matrix product");
  }

  bool usable() const { return primitive_ != nullptr; }

  // Code that oneDNN generates, and one set of objects.
  size_t bytes() const override { return sizeof *this + (16 << 10) + scratchpad_bytes_; }

  void run(const void* x, const void* y, void* to) const override {
    std::unique_ptr<Objects> objects = borrow();
    check(dnnl_memory_set_data_handle(objects->x, const_cast<void*>(x)), "bind an operand");
    check(dnnl_memory_set_data_handle(objects->y, const_cast<void*>(y)), "bind an operand");
    check(dnnl_memory_set_data_handle(objects->to, to), "bind the result");
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, objects->x},
                                         {DNNL_ARG_WEIGHTS, objects->y},
                                         {DNNL_ARG_DST, objects->to},
                                         {DNNL_ARG_SCRATCHPAD, objects->scratchpad}};
    {
      SingleOpenMpThread alone;
      check(dnnl_primitive_execute(primitive_, objects->stream, 4, arguments), "multiply matrices");
    }
    kept_.give_back(std::move(objects));
  }

 private:
  struct Objects {
    DnnlMemory x, y, to, scratchpad;
    DnnlStream stream;
    onednn::Scratch scratch;
  };

  static void describe(MemoryDesc& description, dnnl_data_type_t type, int64_t batch, int64_t rows, int64_t columns,
                       int64_t batch_stride, int64_t row_stride, int64_t column_stride) {
    const dnnl_dims_t dims = {batch, rows, columns};
    // A stride that is never used must still look like one.
    const dnnl_dims_t strides = {batch == 1 ? rows * columns : batch_stride, rows == 1 ? columns : row_stride,
                                 column_stride};
    check(dnnl_memory_desc_create_with_strides(description.out(), 3, dims, type, strides), "describe a matrix");
  }

  std::unique_ptr<Objects> borrow() const {
    if (auto kept = kept_.borrow()) return kept;
    auto objects = std::make_unique<Objects>();
    check(dnnl_memory_create(objects->x.out(), x_, engine(), DNNL_MEMORY_NONE), "create a memory object");
    check(dnnl_memory_create(objects->y.out(), y_, engine(), DNNL_MEMORY_NONE), "create a memory object");
    check(dnnl_memory_create(objects->to.out(), to_, engine(), DNNL_MEMORY_NONE), "create a memory object");
    check(dnnl_stream_create(objects->stream.out(), engine(), dnnl_stream_default_flags), "create a stream");
    objects->scratch = allocate(scratchpad_bytes_);
    check(dnnl_memory_create(objects->scratchpad.out(), scratchpad_, engine(),
                             scratchpad_bytes_ != 0 ? objects->scratch.get() : DNNL_MEMORY_NONE),
          "create a memory object");
    return objects;
  }

  MemoryDesc x_, y_, to_;
  PrimitiveDesc description_;
  Primitive primitive_;
  const_dnnl_memory_desc_t scratchpad_ = nullptr;  // belongs to description_
  size_t scratchpad_bytes_ = 0;
  mutable Kept<Objects> kept_;
};

class OneDnnGemm final : public MatmulKernel {
 public:
  explicit OneDnnGemm(const MatmulGeometry& geometry) : g_(geometry) {}

  size_t bytes() const override { return sizeof *this; }

  void run(const void* x, const void* y, void* to) const override {
    const Operand a = operand(g_.rows, g_.inner, g_.x_row, g_.x_inner);
    const Operand b = operand(g_.inner, g_.columns, g_.y_inner, g_.y_column);
    SingleOpenMpThread alone;
    for (int64_t i = 0; i < g_.batch; ++i) {
      check(
          dnnl_sgemm(a.order, b.order, g_.rows, g_.columns, g_.inner, 1, static_cast<const float*>(x) + i * g_.x_batch,
                     a.stride, static_cast<const float*>(y) + i * g_.y_batch, b.stride, 0,
                     static_cast<float*>(to) + i * g_.to_batch, g_.to_row),
          "multiply matrices");
    }
  }

 private:
  // By rows, or turned. A stride that is never used must still look like one.
  struct Operand {
    char order;
    int64_t stride;
  };
  static Operand operand(int64_t rows, int64_t columns, int64_t row_stride, int64_t column_stride) {
    if (column_stride == 1) return {'N', std::max(row_stride, columns)};
    return {'T', std::max(column_stride, rows)};
  }

  const MatmulGeometry g_;
};

// Without VNNI, oneDNN adds pairs of products in 16 bits, which saturate (its documentation, "Nuances of int8
// Computations").
bool has_exact_int8() {
  const int isa = dnnl_get_effective_cpu_isa();
  const auto includes = [&](int wanted) { return (isa & wanted) == wanted; };
  return includes(dnnl_cpu_isa_avx512_core_vnni) || includes(dnnl_cpu_isa_avx2_vnni);
}

}  // namespace

std::unique_ptr<MatmulKernel> make_onednn_matmul(DType dtype, const MatmulGeometry& geometry) {
  if (!is_float(dtype)) return nullptr;
  SingleOpenMpThread alone;
  auto kernel = std::make_unique<OneDnnMatmul>(data_type(dtype), data_type(dtype), geometry);
  if (!kernel->usable()) return nullptr;
  return kernel;
}

std::unique_ptr<MatmulKernel> make_onednn_gemm(const MatmulGeometry& geometry) {
  return std::make_unique<OneDnnGemm>(geometry);
}

std::unique_ptr<MatmulKernel> make_onednn_int8_matmul(const MatmulGeometry& geometry) {
  if (!has_exact_int8()) return nullptr;
  SingleOpenMpThread alone;
  auto kernel = std::make_unique<OneDnnMatmul>(dnnl_s8, dnnl_s32, geometry);
  if (!kernel->usable()) return nullptr;
  return kernel;
}

}  // namespace mps

#endif
