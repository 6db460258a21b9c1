// What the rest of the plugin may ask of compiled graphs that are kept between runs. Plain C++.
#pragma once

#include <string>

namespace mps {

// Where they are kept; empty if they are not.
std::string kept_graphs_folder();

// Removes all of them, those of other programs, too. True if nothing is left.
bool clear_kept_graphs();

}  // namespace mps
