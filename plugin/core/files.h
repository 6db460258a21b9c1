// Files and folders, through the system's own calls; a path is text. Nothing throws.
//
// Not std::filesystem: Paddle's libraries export parts of it from an older C++ library. In its process the two mix,
// and walking a folder corrupts the heap.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mps::files {

struct File {
  std::string path;  // below the folder that was asked about; empty for that path itself
  uint64_t bytes;
};

std::string join(const std::string& folder, const std::string& name);
std::string absolute(const std::string& path);
bool exists(const std::string& path);
bool is_folder(const std::string& path);
// Names in a folder, sorted; none if there is no such folder.
std::vector<std::string> names_in(const std::string& folder);
// Every regular file below a folder, or the file itself, sorted by path. What goes away meanwhile is left out.
std::vector<File> files_below(const std::string& path);
bool read(const std::string& path, std::string* text);
bool write(const std::string& path, const std::string& text);
// With the folders above it; true if it is there afterwards.
bool make_folders(const std::string& path);
// In one step. False if `to` is a folder with something in it.
bool rename(const std::string& from, const std::string& to);
// With everything below it; true if nothing is left.
bool remove_all(const std::string& path);
// When a file was written or touched last: seconds since 1970; nothing if it is not there.
std::optional<double> touched_at(const std::string& path);
void touch(const std::string& path);

}  // namespace mps::files
