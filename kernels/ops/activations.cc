// Paddle's activations, from activations.def.
#include "kernels/graphs/activation.h"
#include "kernels/ops/elementwise.h"
#include "paddle/phi/kernels/activation_grad_kernel.h"
#include "paddle/phi/kernels/activation_kernel.h"
#include "paddle/phi/kernels/angle_grad_kernel.h"
#include "paddle/phi/kernels/angle_kernel.h"
#include "paddle/phi/kernels/clip_grad_kernel.h"
#include "paddle/phi/kernels/clip_kernel.h"
#include "paddle/phi/kernels/gelu_grad_kernel.h"
#include "paddle/phi/kernels/gelu_kernel.h"
#include "paddle/phi/kernels/selu_grad_kernel.h"
#include "paddle/phi/kernels/selu_kernel.h"

#define StanhGradKernel STanhGradKernel  // Paddle writes the name in two ways

#define MPS_TABLE "kernels/activations.def"
#include "kernels/ops/expand_rows.h"
