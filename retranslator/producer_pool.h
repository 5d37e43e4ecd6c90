// The producers: threads that encode messages. A key always meets the same thread, so its messages
// keep their order.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/bounded_queue.h"
#include "common/kafka/producer.h"
#include "common/runtime/thread.h"
#include "retranslator/encoder.h"
#include "retranslator/message_slots.h"
#include "retranslator/outbox_reader.h"
#include "retranslator/sender.h"

namespace saldo::retranslator {

class ProducerPool {
 public:
  // All of it outlives the pool. `chunks_max` bounds what waits in front of each thread.
  ProducerPool(int threads, size_t chunks_max, const Encoder& encoder, kafka::Producer& kafka,
               MessageSlots& slots, Sender& sender);
  ~ProducerPool() { Finish(); }

  // Waits for room. False after Finish.
  bool Submit(const std::shared_ptr<Chunk>& chunk);

  // Encodes what was submitted and ends the threads. Idempotent.
  void Finish();

 private:
  struct Worker {
    explicit Worker(size_t chunks_max) : chunks(chunks_max) {}
    BoundedQueue<std::shared_ptr<Chunk>> chunks;
    runtime::Thread thread;
  };

  void Run(size_t index);
  std::vector<uint64_t> EncodeOwn(const Chunk& chunk, size_t index);

  const Encoder& encoder_;
  kafka::Producer& kafka_;
  MessageSlots& slots_;
  Sender& sender_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace saldo::retranslator
