// Files and folders of the servers that run here.
#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace saldo::devstack {

// Makes a folder and its parents.
absl::Status MakeFolder(const std::string& path);
// The path without links and dots, of something that exists.
absl::StatusOr<std::string> AbsolutePath(const std::string& path);

absl::StatusOr<std::string> ReadFile(const std::string& path);
// Replaces the file as a whole or not at all.
absl::Status WriteFile(const std::string& path, const std::string& text);

// Gives a folder and everything in it to a user.
absl::Status GiveTo(const std::string& path, const std::string& user);
// Whether every other user may enter all folders above `path`.
bool EveryoneMayReach(const std::string& path);

// The folder of the running program, where its sibling programs lie.
absl::StatusOr<std::string> ProgramFolder();
// The full path of a sibling program such as "saldo-server". NOT_FOUND when it is not built.
absl::StatusOr<std::string> SiblingProgram(const std::string& name);

// A folder, or a file, that this process holds for itself until the lock is destroyed. A process
// that dies lets go of it.
class FolderLock {
 public:
  // FAILED_PRECONDITION when another process holds it; the message names its pid.
  static absl::StatusOr<FolderLock> Take(const std::string& folder);

  FolderLock(FolderLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace saldo::devstack
