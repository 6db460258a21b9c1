// Gradients of tables of which a program reads some rows, as Paddle's selected rows: the numbers of the rows, which lie
// on the host, and a row of values for each. A number may come several times.
#pragma once

#include "paddle/phi/core/selected_rows.h"
#include "plugin/paddle/recorder.h"

namespace mps::paddle {

// Each row once, in rising order, with the sum of its values in `dtype`.
void merge_rows(const phi::CustomContext& ctx, const phi::SelectedRows& rows, phi::DataType dtype,
                phi::SelectedRows* out);
// float32: the whole gradient. Values of one row are added up; other rows are 0.
phi::DenseTensor dense_gradient(const phi::CustomContext& ctx, const phi::SelectedRows& rows);
// bool, for each element of the table: whether its row is among them.
phi::DenseTensor is_selected(const phi::CustomContext& ctx, const phi::SelectedRows& rows);

}  // namespace mps::paddle
