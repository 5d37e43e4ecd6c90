// Everything around the relay: writers, a sequencer, a topic, and what a consumer found on it.
#pragma once

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/devstack/loopback.h"
#include "common/kafka/admin.h"
#include "common/kafka/consumer.h"
#include "common/observability/trace.h"
#include "common/postgres/pool.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "retranslator/app.h"
#include "server/jobs/sequencer.h"
#include "server/outbox/outbox.h"
#include "tests/support/migrated_database.h"
#include "tests/support/test_env.h"

namespace saldo::retranslator {

constexpr absl::Duration kWait = absl::Seconds(60);

inline CallContext Soon() { return CallContext::WithTimeout(kWait); }

// A database and a topic of its own; the servers are shared by the program's cases.
class World {
 public:
  explicit World(bool create_topic = true) : World(testing::UniqueName("relay"), create_topic) {}
  // Of a topic that another world may have, too.
  World(std::string topic, bool create_topic) : topic_(std::move(topic)) {
    REQUIRE(sequencer_.Start().ok());
    if (!create_topic) return;
    auto admin = kafka::Admin::Create({.brokers = brokers()});
    REQUIRE(admin.ok());
    REQUIRE((*admin)->CreateTopic({.name = topic_, .partitions = 3}, Soon()) == absl::OkStatus());
  }
  ~World() { sequencer_.Stop(); }

  static std::string brokers() { return testing::TestKafka().bootstrap_servers(); }
  const std::string& topic() const { return topic_; }
  const testing::MigratedDatabase& database() const { return database_; }
  int64_t Number(const std::string& sql) const { return std::stoll(database_.Query(sql)); }
  postgres::Pool& pool() { return pool_; }
  jobs::Sequencer& sequencer() { return sequencer_; }

  RetranslatorConfig Config() const {
    RetranslatorConfig config;
    config.metrics = {.address = "127.0.0.1", .port = 0};
    config.status = {.address = "127.0.0.1", .port = 0};
    config.postgres.connection.dsn = database_.dsn();
    config.kafka.connection.brokers = brokers();
    config.kafka.connection.reconnect_backoff_max = absl::Milliseconds(300);
    config.kafka.topic_wait = absl::Seconds(1);
    config.relay.restart_wait = absl::Milliseconds(100);
    config.relay.retry = {
        .attempts_max = 3, .backoff_min = absl::Milliseconds(50), .backoff_max = absl::Seconds(1)};
    return config;
  }

  absl::Status Append(const std::vector<outbox::Message>& messages) {
    return pool_.Transact(Soon(), {.name = "test.append"},
                          [&](postgres::Transaction& tx) { return outbox_.Append(tx, messages); });
  }

  // Whether the relay has passed everything that is committed.
  bool Drained() const {
    return database_.Query(
               "SELECT s.last_seq = c.seq AND NOT EXISTS (SELECT FROM batches WHERE batch_id > "
               "s.scanned_to OR batch_id = ANY (s.gaps)) FROM sequencer AS s, cursors AS c WHERE "
               "c.consumer = 'relay'") == "t";
  }
  bool AwaitDrained() const {
    return testing::Eventually(kWait, [&] { return Drained(); });
  }

  std::vector<kafka::ReceivedMessage> Received() const {
    auto consumer = kafka::Consumer::Create({.connection = {.brokers = brokers()}});
    REQUIRE(consumer.ok());
    std::vector<kafka::ReceivedMessage> messages;
    REQUIRE((*consumer)->ReadToEnd(topic_, Soon(), [&](kafka::ReceivedMessage message) {
      messages.push_back(std::move(message));
    }) == absl::OkStatus());
    return messages;
  }

 private:
  testing::MigratedDatabase database_;
  const std::string topic_;
  metrics::Registry registry_;
  postgres::Pool pool_{{.connection = {.dsn = database_.dsn()}, .max_connections = 8}, registry_};
  jobs::Sequencer sequencer_{{}, {.dsn = database_.dsn()}, registry_};
  const outbox::Outbox outbox_{[this] { sequencer_.Wake(); }};
};

// Threads that append messages, numbered from 0 within each key, until Stop.
class Load {
 public:
  static constexpr int kThreads = 4;
  static constexpr int kKeysPerThread = 5;

  explicit Load(World& world, absl::Duration pause = absl::Milliseconds(1))
      : world_(world), pause_(pause) {
    for (int i = 0; i < kThreads; ++i) threads_.emplace_back("load", [this, i] { Run(i); });
  }
  ~Load() { Stop(); }

  void Stop() {
    stop_.Stop();
    for (runtime::Thread& thread : threads_) thread.Join();
  }
  int64_t acknowledged() const { return acknowledged_.load(); }
  bool AwaitMore(int64_t messages) const {
    const int64_t goal = acknowledged() + messages;
    return testing::Eventually(kWait, [&] { return acknowledged() >= goal; });
  }

  // After Stop: every acknowledged message is on the topic, in the order of its key as far as first
  // occurrences go. Answers how many messages are there more than once.
  int64_t Check() const {
    std::map<std::string, int64_t> next;
    std::map<std::string, std::set<int64_t>> seen;
    int64_t repeated = 0, disorder = 0;
    for (const kafka::ReceivedMessage& message : world_.Received()) {
      const int64_t number = std::stoll(*message.value);
      if (!seen[*message.key].insert(number).second) {
        ++repeated;
        continue;
      }
      if (next[*message.key]++ != number) {
        ++disorder;
        UNSCOPED_INFO("key " << *message.key << ": " << number << " too early or late, id "
                             << *message.FindHeader("ce_id") << ", partition " << message.partition
                             << ", offset " << message.offset);
      }
    }
    CHECK(disorder == 0);
    for (int thread = 0; thread < kThreads; ++thread) {
      for (int key = 0; key < kKeysPerThread; ++key) {
        INFO(KeyOf(thread, key));
        CHECK(next[KeyOf(thread, key)] >= counts_[thread][key]);
        // A commit whose answer was lost may have added one that was not acknowledged.
        CHECK(next[KeyOf(thread, key)] <= counts_[thread][key] + 2);
      }
    }
    return repeated;
  }

 private:
  static std::string KeyOf(int thread, int key) {
    return std::to_string(thread) + "." + std::to_string(key);
  }

  void Run(int thread) {
    std::mt19937_64 random(testing::Seed() + static_cast<uint64_t>(thread));
    do {
      const int key = static_cast<int>(random() % kKeysPerThread);
      const int64_t count = 1 + static_cast<int64_t>(random() % 2);
      std::vector<outbox::Message> messages;
      for (int64_t i = 0; i < count; ++i) {
        messages.push_back({.topic = world_.topic(),
                            .key = KeyOf(thread, key),
                            .payload = std::to_string(counts_[thread][key] + i),
                            .type = "test"});
      }
      // What failed is written again, with the same numbers.
      if (!world_.Append(messages).ok()) continue;
      counts_[thread][key] += count;
      acknowledged_ += count;
    } while (stop_.WaitFor(pause_));
  }

  World& world_;
  const absl::Duration pause_;
  int64_t counts_[kThreads][kKeysPerThread] = {};
  std::atomic<int64_t> acknowledged_{0};
  runtime::StopSignal stop_;
  std::vector<runtime::Thread> threads_;
};

// A relay in this process.
class Relay {
 public:
  explicit Relay(RetranslatorConfig config) : app_(std::move(config), {}) {
    REQUIRE(app_.Start() == absl::OkStatus());
  }

  bool active(size_t shard = 0) const { return app_.active(shard); }
  bool AwaitActive(absl::Duration wait = kWait) const {
    return testing::Eventually(wait, [&] { return app_.active(); });
  }
  void Stop() { app_.Stop(); }
  // The value of a metric that has no label but `shard`, as a scrape shows it.
  double Metric(const std::string& name, const std::string& shard = "0") const {
    const std::string text = "\n" + app_.registry().Text();
    const std::string begin = "\n" + name + "{shard=\"" + shard + "\"} ";
    const size_t at = text.find(begin);
    if (at == std::string::npos) return -1;
    return std::stod(text.substr(at + begin.size()));
  }
  devstack::HttpAnswer Readiness() const {
    const auto answer = devstack::HttpGet(app_.status_port(), "/ready", absl::Seconds(10));
    REQUIRE(answer.ok());
    return *answer;
  }

 private:
  App app_;
};

}  // namespace saldo::retranslator
