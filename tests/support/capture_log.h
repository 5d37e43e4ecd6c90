// What a test wrote to standard error, where the log goes.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace saldo::testing {

// Redirects standard error into a file until Text is called or it goes out of scope.
class CaptureLog {
 public:
  CaptureLog() {
    std::fflush(stderr);
    saved_ = dup(STDERR_FILENO);
    const int file = mkstemp(path_);
    dup2(file, STDERR_FILENO);
    close(file);
  }
  ~CaptureLog() {
    Restore();
    unlink(path_);
  }
  CaptureLog(const CaptureLog&) = delete;
  CaptureLog& operator=(const CaptureLog&) = delete;

  std::string Text() {
    Restore();
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

 private:
  void Restore() {
    if (saved_ < 0) return;
    std::fflush(stderr);
    dup2(saved_, STDERR_FILENO);
    close(saved_);
    saved_ = -1;
  }

  char path_[32] = "/tmp/saldo_log_XXXXXX";
  int saved_ = -1;
};

inline int CountOf(const std::string& text, const std::string& part) {
  int count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace saldo::testing
