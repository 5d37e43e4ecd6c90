#include "common/config/file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace saldo::config::internal {

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t size_max) {
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Closer> file(std::fopen(path.c_str(), "re"));
  if (file == nullptr) return absl::NotFoundError(std::strerror(errno));
  std::string content(size_max + 1, '\0');
  content.resize(std::fread(content.data(), 1, content.size(), file.get()));
  if (std::ferror(file.get()) != 0) return absl::UnavailableError(std::strerror(errno));
  if (content.size() > size_max)
    return absl::OutOfRangeError(absl::StrCat("the file is larger than ", size_max, " bytes"));
  return content;
}

}  // namespace saldo::config::internal
