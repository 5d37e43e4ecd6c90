#include "retranslator/delivery_window.h"

#include <utility>

namespace saldo::retranslator {

struct DeliveryWindow::Room {
  const DeliveryWindow* window;
  size_t messages;
  size_t bytes;
};

DeliveryWindow::DeliveryWindow(size_t messages_max, size_t bytes_max, int64_t seq)
    : messages_max_(messages_max),
      bytes_max_(bytes_max),
      complete_(messages_max),
      passed_seq_(seq) {}

bool DeliveryWindow::HasRoom(size_t messages, size_t bytes) const {
  const size_t inside = tail_ - head_;
  return inside + messages <= messages_max_ && (groups_.empty() || bytes_ + bytes <= bytes_max_);
}

bool DeliveryWindow::WaitForRoom(size_t messages, size_t bytes, absl::Duration timeout) {
  Room room{this, messages, bytes};
  const auto ready = +[](Room* r) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return r->window->closed_ || r->window->HasRoom(r->messages, r->bytes);
  };
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(ready, &room), timeout);
  return !closed_ && HasRoom(messages, bytes);
}

uint64_t DeliveryWindow::Append(absl::Span<const Batch> batches, size_t bytes,
                                std::shared_ptr<const void> memory) {
  absl::MutexLock lock(&mutex_);
  const uint64_t first = tail_;
  for (const Batch& batch : batches) {
    tail_ += batch.messages;
    batches_.push_back({batch.seq, tail_});
  }
  for (uint64_t position = first; position < tail_; ++position)
    complete_[position % messages_max_] = false;
  if (tail_ > first) {
    groups_.push_back({tail_, bytes, std::move(memory)});
    bytes_ += bytes;
  }
  AdvanceOverBatches();
  return first;
}

void DeliveryWindow::Complete(absl::Span<const uint64_t> positions) {
  std::vector<std::shared_ptr<const void>> released;  // freed outside the lock
  absl::MutexLock lock(&mutex_);
  for (const uint64_t position : positions) complete_[position % messages_max_] = true;
  while (head_ < tail_ && complete_[head_ % messages_max_]) ++head_;
  AdvanceOverBatches();
  while (!groups_.empty() && groups_.front().end <= head_) {
    bytes_ -= groups_.front().bytes;
    released.push_back(std::move(groups_.front().memory));
    groups_.pop_front();
  }
}

void DeliveryWindow::AdvanceOverBatches() {
  while (!batches_.empty() && batches_.front().end <= head_) {
    passed_seq_ = batches_.front().seq;
    batches_.pop_front();
  }
}

int64_t DeliveryWindow::passed_seq() const {
  absl::MutexLock lock(&mutex_);
  return passed_seq_;
}

size_t DeliveryWindow::messages() const {
  absl::MutexLock lock(&mutex_);
  return tail_ - head_;
}

void DeliveryWindow::Close() {
  absl::MutexLock lock(&mutex_);
  closed_ = true;
}

}  // namespace saldo::retranslator
