// Makes and registers the kernels of the table that MPS_TABLE names: structs of its expressions first, then a
// registration for each. No include guard, and one table per source file.
namespace mps::paddle {
namespace {

#define MPS_UNARY_OP(name, Phi, dtypes, forward_expression, gradient_dtypes, operand, gradient_expression) \
  struct name##_op {                                                                                       \
    MPS_EXPRESSION(forward, forward_expression)                                                            \
    MPS_EXPRESSION(gradient, gradient_expression)                                                          \
  };
#define MPS_UNARY_OP_WITH(name, Phi, types, names, dtypes, forward_expression, gradient_dtypes, operand, \
                          gradient_expression)                                                           \
  struct name##_op : UnaryWith<name##_op, MPS_LIST types> {                                              \
    MPS_EXPRESSION_WITH(forward, MPS_COUNT types, names, forward_expression)                             \
    MPS_EXPRESSION_WITH(gradient, MPS_COUNT types, names, gradient_expression)                           \
  };
#define MPS_UNARY_FORWARD(name, Phi, dtypes, forward_expression) \
  struct name##_op {                                             \
    MPS_EXPRESSION(forward, forward_expression)                  \
  };
#define MPS_BINARY_OP(name, Phi, dtypes, forward_expression, signature, gradient_dtypes, x_expression, y_expression) \
  struct name##_op {                                                                                                 \
    MPS_EXPRESSION(forward, forward_expression)                                                                      \
    MPS_EXPRESSION(gradient_x, x_expression)                                                                         \
    MPS_EXPRESSION(gradient_y, y_expression)                                                                         \
  };
#define MPS_BINARY_FORWARD(name, Phi, dtypes, forward_expression) \
  MPS_UNARY_FORWARD(name, Phi, dtypes, forward_expression)
#define MPS_UNARY_TEST(name, Phi, dtypes, forward_expression) MPS_UNARY_FORWARD(name, Phi, dtypes, forward_expression)
#define MPS_BINARY_TEST(name, Phi, dtypes, forward_expression) MPS_UNARY_FORWARD(name, Phi, dtypes, forward_expression)
#include MPS_TABLE
#undef MPS_UNARY_OP
#undef MPS_UNARY_OP_WITH
#undef MPS_UNARY_FORWARD
#undef MPS_BINARY_OP
#undef MPS_BINARY_FORWARD
#undef MPS_UNARY_TEST
#undef MPS_BINARY_TEST

// The results of tests are bool, whatever is tested.
[[maybe_unused]] void define_bool(const phi::KernelKey&, phi::Kernel* kernel) {
  kernel->OutputAt(0).SetDataType(phi::DataType::BOOL);
}

}  // namespace

#define MPS_UNARY_OP(name, Phi, dtypes, forward_expression, gradient_dtypes, operand, gradient_expression) \
  MPS_KERNEL(name, phi::Phi##Kernel, unary<name##_op>, views_of(dtypes))                                   \
  MPS_KERNEL(name##_grad, phi::Phi##GradKernel, operand##_grad<name##_op>, views_of(gradient_dtypes))
#define MPS_UNARY_OP_WITH(name, Phi, types, names, dtypes, forward_expression, gradient_dtypes, operand, \
                          gradient_expression)                                                           \
  MPS_KERNEL(name, phi::Phi##Kernel, name##_op::forward_kernel, views_of(dtypes))                        \
  MPS_KERNEL(name##_grad, phi::Phi##GradKernel, name##_op::operand##_grad, views_of(gradient_dtypes))
#define MPS_UNARY_FORWARD(name, Phi, dtypes, forward_expression) \
  MPS_KERNEL(name, phi::Phi##Kernel, unary<name##_op>, views_of(dtypes))
#define MPS_BINARY_OP(name, Phi, dtypes, forward_expression, signature, gradient_dtypes, x_expression, y_expression) \
  MPS_KERNEL(name, phi::Phi##Kernel, binary<name##_op>, views_of(dtypes))                                            \
  MPS_KERNEL(name##_grad, phi::Phi##GradKernel, signature##_grad<name##_op>, views_of(gradient_dtypes))
#define MPS_BINARY_FORWARD(name, Phi, dtypes, forward_expression) \
  MPS_KERNEL(name, phi::Phi##Kernel, binary<name##_op>, views_of(dtypes))
#define MPS_UNARY_TEST(name, Phi, dtypes, forward_expression) \
  MPS_KERNEL_WITH_DEFINE(name, phi::Phi##Kernel, unary<name##_op>, views_of(dtypes), define_bool)
#define MPS_BINARY_TEST(name, Phi, dtypes, forward_expression) \
  MPS_KERNEL_WITH_DEFINE(name, phi::Phi##Kernel, binary<name##_op>, views_of(dtypes), define_bool)
#include MPS_TABLE

}  // namespace mps::paddle
