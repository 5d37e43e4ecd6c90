// A bounded multi-producer, multi-consumer queue. Closing it wakes everyone who waits.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace saldo {

template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  BoundedQueue(const BoundedQueue&) = delete;
  BoundedQueue& operator=(const BoundedQueue&) = delete;

  // Waits for room. False when the queue is closed; the item is then dropped.
  bool Push(T item) {
    absl::MutexLock lock(&mutex_, absl::Condition(this, &BoundedQueue::HasRoomOrClosed));
    if (closed_) return false;
    items_.push_back(std::move(item));
    return true;
  }

  // Never waits. False when full or closed; `item` is then untouched.
  bool TryPush(T&& item) {
    absl::MutexLock lock(&mutex_);
    if (closed_ || items_.size() >= capacity_) return false;
    items_.push_back(std::move(item));
    return true;
  }

  // Waits for an item. Nothing when the queue is closed and empty.
  std::optional<T> Pop() {
    absl::MutexLock lock(&mutex_, absl::Condition(this, &BoundedQueue::HasItemOrClosed));
    return PopLocked();
  }

  // As Pop, but at most for `timeout`.
  std::optional<T> PopFor(absl::Duration timeout) {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(this, &BoundedQueue::HasItemOrClosed), timeout);
    return PopLocked();
  }

  // Waits for one item and takes up to `limit` of those that are there. Empty when closed and
  // empty.
  std::vector<T> PopBatch(size_t limit) {
    std::vector<T> batch;
    absl::MutexLock lock(&mutex_, absl::Condition(this, &BoundedQueue::HasItemOrClosed));
    batch.reserve(std::min(limit, items_.size()));
    while (!items_.empty() && batch.size() < limit) batch.push_back(*PopLocked());
    return batch;
  }

  // No more items are taken in; those inside can still be popped. Idempotent.
  void Close() {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

  // Closes and drops what is inside.
  void CloseAndClear() {
    std::deque<T> dropped;
    absl::MutexLock lock(&mutex_);
    closed_ = true;
    dropped.swap(items_);
  }

  size_t size() const {
    absl::MutexLock lock(&mutex_);
    return items_.size();
  }
  size_t capacity() const { return capacity_; }

 private:
  bool HasRoomOrClosed() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return closed_ || items_.size() < capacity_;
  }
  bool HasItemOrClosed() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return closed_ || !items_.empty();
  }
  std::optional<T> PopLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    return item;
  }

  const size_t capacity_;
  mutable absl::Mutex mutex_;
  std::deque<T> items_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace saldo
