#include "common/rpc/worker_pool.h"

#include <optional>

#include "absl/strings/str_cat.h"

namespace saldo::rpc {

void WorkerPool::Start(int threads, const std::string& name) {
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back(absl::StrCat(name, "-", i), [this] { Work(); });
  }
}

void WorkerPool::Stop() {
  queue_.Close();
  for (runtime::Thread& thread : threads_) thread.Join();
}

void WorkerPool::Work() {
  while (std::optional<Task*> task = queue_.Pop()) (*task)->Run();
}

}  // namespace saldo::rpc
