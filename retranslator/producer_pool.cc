#include "retranslator/producer_pool.h"

#include <string_view>

#include "absl/strings/str_cat.h"

namespace saldo::retranslator {

ProducerPool::ProducerPool(int threads, size_t chunks_max, const Encoder& encoder,
                           kafka::Producer& kafka, MessageSlots& slots, Sender& sender)
    : encoder_(encoder), kafka_(kafka), slots_(slots), sender_(sender) {
  for (int i = 0; i < threads; ++i) workers_.push_back(std::make_unique<Worker>(chunks_max));
  for (size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->thread = runtime::Thread(absl::StrCat("producer-", i), [this, i] { Run(i); });
  }
}

bool ProducerPool::Submit(const std::shared_ptr<Chunk>& chunk) {
  for (const std::unique_ptr<Worker>& worker : workers_) {
    if (!worker->chunks.Push(chunk)) return false;
  }
  return true;
}

void ProducerPool::Finish() {
  for (const std::unique_ptr<Worker>& worker : workers_) worker->chunks.Close();
  for (const std::unique_ptr<Worker>& worker : workers_) worker->thread.Join();
}

void ProducerPool::Run(size_t index) {
  while (const std::optional<std::shared_ptr<Chunk>> chunk = workers_[index]->chunks.Pop()) {
    std::vector<uint64_t> positions = EncodeOwn(**chunk, index);
    if (!positions.empty() && !sender_.Submit(std::move(positions))) return;
  }
}

std::vector<uint64_t> ProducerPool::EncodeOwn(const Chunk& chunk, size_t index) {
  std::vector<uint64_t> positions;
  positions.reserve(chunk.rows.size() / workers_.size() + 1);
  std::string_view topic_name;
  kafka::Topic* topic = nullptr;
  uint64_t position = chunk.first_position;
  for (const OutboxRow& row : chunk.rows) {
    const uint64_t own = position++;
    if (workers_.size() > 1 && std::hash<std::string_view>()(row.key) % workers_.size() != index)
      continue;
    if (row.topic != topic_name || topic == nullptr) {
      topic_name = row.topic;
      topic = kafka_.TopicFor(row.topic).value_or(nullptr);
    }
    MessageSlot& slot = slots_.at(own);
    slot.topic = topic;
    encoder_.Encode(row, &slot);
    positions.push_back(own);
  }
  return positions;
}

}  // namespace saldo::retranslator
