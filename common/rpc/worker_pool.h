// The threads that run handlers, behind a bounded queue.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/runtime/thread.h"

namespace saldo::rpc {

class WorkerPool {
 public:
  // Something to run once. It owns itself: the pool touches it no more once Run was called.
  class Task {
   public:
    virtual void Run() = 0;

   protected:
    ~Task() = default;
  };

  // `capacity`: tasks that wait, besides those that run.
  explicit WorkerPool(size_t capacity) : queue_(capacity) {}
  ~WorkerPool() { Stop(); }

  void Start(int threads, const std::string& name);
  // Runs what waits, then ends the threads. Idempotent.
  void Stop();

  // Never blocks. False when the queue is full or the pool stopped; the task is then not run.
  bool TryPost(Task* task) { return queue_.TryPush(std::move(task)); }
  // Tasks in the queue.
  size_t waiting() const { return queue_.size(); }

 private:
  void Work();

  BoundedQueue<Task*> queue_;
  std::vector<runtime::Thread> threads_;
};

}  // namespace saldo::rpc
