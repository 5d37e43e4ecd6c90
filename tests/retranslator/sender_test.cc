// The sender against the client library's imitation of Kafka, which fails on demand.
#include "retranslator/sender.h"

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/kafka/consumer.h"
#include "common/kafka/mock_cluster.h"
#include "common/runtime/thread.h"
#include "tests/support/test_env.h"

namespace saldo::retranslator {
namespace {

using kafka::ErrorCode;
using kafka::RequestKind;
using testing::Eventually;

// A refusal that the client library passes on, and that may pass by itself.
constexpr ErrorCode kUnknownServerError = -1;
// Makes the producer useless, though the library does not see it so.
constexpr ErrorCode kClusterAuthorizationFailed = 31;

constexpr absl::Duration kWait = absl::Seconds(20);

class FakeSink : public trace::Sink {
 public:
  void Take(trace::SpanData span) override {
    absl::MutexLock lock(&mutex_);
    spans_.push_back(std::move(span));
  }
  std::vector<trace::SpanData> spans() const {
    absl::MutexLock lock(&mutex_);
    return spans_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<trace::SpanData> spans_;
};

struct Outgoing {
  std::string topic;
  std::string key;
  std::string payload;
  std::string traceparent = "";
};

struct RigOptions {
  absl::Duration linger = absl::Milliseconds(20);
  int queue_messages_max = 10'000;
  RetryOptions retry = {.attempts_max = 3,
                        .backoff_min = absl::Milliseconds(20),
                        .backoff_max = absl::Milliseconds(100)};
};

// A sender with all that it needs, and a mock cluster with the topic "orders" of one partition.
class Rig {
 public:
  explicit Rig(const RigOptions& options = {}) : options_(options) {
    REQUIRE(cluster_->CreateTopic("orders", 1).ok());
  }
  ~Rig() {
    if (!finished_) Finish(absl::Now());
  }

  kafka::MockCluster& cluster() { return *cluster_; }
  DeliveryWindow& window() { return window_; }
  Sender& sender() { return sender_; }
  RelayMetrics& metrics() { return metrics_; }
  const FakeSink& sink() const { return sink_; }
  std::vector<DeadLetter> dead() const { return dead_letters_.UpTo(INT64_MAX); }

  // The seq of a message is its position + 1.
  void Submit(const std::vector<Outgoing>& messages) {
    auto memory = std::make_shared<std::vector<Outgoing>>(messages);
    auto rows = std::make_shared<std::pair<decltype(memory), std::vector<OutboxRow>>>();
    rows->first = memory;
    std::vector<DeliveryWindow::Batch> batches;
    for (size_t i = 0; i < memory->size(); ++i) {
      const Outgoing& message = (*memory)[i];
      OutboxRow row{.seq = static_cast<int64_t>(submitted_ + i + 1),
                    .batch_id = static_cast<int64_t>(submitted_ + i + 1),
                    .ordinal = 1,
                    .created_at = absl::Now(),
                    .topic = message.topic,
                    .key = message.key,
                    .payload = message.payload,
                    .type = "type",
                    .traceparent = std::nullopt,
                    .message_id = std::nullopt};
      if (!message.traceparent.empty()) row.traceparent = message.traceparent;
      rows->second.push_back(row);
      batches.push_back({row.seq, 1});
    }
    const uint64_t first = window_.Append(batches, 1, rows);
    std::vector<uint64_t> positions;
    for (size_t i = 0; i < rows->second.size(); ++i) {
      MessageSlot& slot = slots_.at(first + i);
      slot.topic = kafka_->TopicFor(rows->second[i].topic).value_or(nullptr);
      encoder_.Encode(rows->second[i], &slot);
      positions.push_back(first + i);
    }
    submitted_ += positions.size();
    REQUIRE(sender_.Submit(std::move(positions)));
  }
  bool AllPassed(absl::Duration wait = kWait) {
    return Eventually(wait, [&] { return window_.messages() == 0; }) &&
           window_.passed_seq() == static_cast<int64_t>(submitted_);
  }
  // Every position was completed once: it was either sent or given up.
  void CheckCompletedOnce(size_t dead_count) {
    CHECK(dead().size() == dead_count);
    CHECK(metrics_.dead.Value() == static_cast<double>(dead_count));
    CHECK(metrics_.sent.Value() == static_cast<double>(submitted_ - dead_count));
  }
  double Failed(ErrorCode code) { return metrics_.FailedBy(kafka::ErrorName(code)).Value(); }

  void Finish(absl::Time deadline) {
    finished_ = true;
    sender_.Finish(deadline);
    thread_.Join();
  }

  std::vector<kafka::ReceivedMessage> Received(const std::string& topic = "orders") {
    auto consumer =
        kafka::Consumer::Create({.connection = {.brokers = cluster_->bootstrap_servers()}});
    REQUIRE(consumer.ok());
    std::vector<kafka::ReceivedMessage> messages;
    REQUIRE((*consumer)->ReadToEnd(topic, CallContext::WithTimeout(kWait),
                                   [&](kafka::ReceivedMessage message) {
                                     messages.push_back(std::move(message));
                                   }) == absl::OkStatus());
    return messages;
  }
  std::map<std::string, std::vector<std::string>> ReceivedByKey() {
    std::map<std::string, std::vector<std::string>> by_key;
    for (const auto& message : Received()) by_key[*message.key].push_back(*message.value);
    return by_key;
  }

 private:
  std::unique_ptr<kafka::Producer> MakeProducer() const {
    kafka::ProducerOptions options;
    options.connection.brokers = cluster_->bootstrap_servers();
    options.linger = options_.linger;
    options.queue_messages_max = options_.queue_messages_max;
    options.topic_wait = absl::Milliseconds(200);
    auto producer = kafka::Producer::Create(options);
    REQUIRE(producer.status() == absl::OkStatus());
    return *std::move(producer);
  }

  const RigOptions options_;
  std::unique_ptr<kafka::MockCluster> cluster_ = *kafka::MockCluster::Start(1);
  metrics::Registry registry_;
  RelayMetrics metrics_{registry_};
  FakeSink sink_;
  trace::Tracer tracer_{&sink_, 1.0};
  Encoder encoder_{{}, "s"};
  DeliveryWindow window_{20'000, 1 << 20, 0};
  DeadLetterBox dead_letters_;
  MessageSlots slots_{20'000};
  std::unique_ptr<kafka::Producer> kafka_ = MakeProducer();
  Sender sender_{
      {*kafka_, slots_, window_, dead_letters_, encoder_, tracer_, metrics_}, options_.retry, 1000};
  size_t submitted_ = 0;
  bool finished_ = false;
  runtime::Thread thread_{"sender", [this] { sender_.Run(); }};
};

std::vector<Outgoing> Numbered(int count, int keys, const std::string& topic = "orders") {
  std::vector<Outgoing> messages;
  for (int i = 0; i < count; ++i)
    messages.push_back({topic, "k" + std::to_string(i % keys), std::to_string(i)});
  return messages;
}

void CheckOrder(const std::map<std::string, std::vector<std::string>>& by_key) {
  for (const auto& [key, values] : by_key) {
    INFO(key);
    CHECK(std::is_sorted(values.begin(), values.end(),
                         [](const auto& a, const auto& b) { return std::stoi(a) < std::stoi(b); }));
  }
}

TEST_CASE("messages arrive once and in order per key, with their headers") {
  Rig rig({.linger = absl::Milliseconds(1)});
  for (int group = 0; group < 10; ++group) {
    std::vector<Outgoing> messages = Numbered(100, 7);
    for (Outgoing& m : messages) m.payload = std::to_string(group * 100 + std::stoi(m.payload));
    rig.Submit(messages);
  }
  REQUIRE(rig.AllPassed());
  rig.CheckCompletedOnce(0);
  const auto received = rig.Received();
  REQUIRE(received.size() == 1000);
  CHECK(*received[0].FindHeader("ce_id") == "s-1-1");
  CHECK(*received[0].FindHeader("ce_type") == "type");
  CHECK(received[0].FindHeader("traceparent") == nullptr);
  CheckOrder(rig.ReceivedByKey());
}

TEST_CASE("a sampled message's send is a span below the change, and its consumers' parent") {
  Rig rig;
  const std::string stored = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const std::string unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
  rig.Submit({{"orders", "k", "1", stored}, {"orders", "k", "2", unsampled}});
  REQUIRE(rig.AllPassed());
  const auto spans = rig.sink().spans();
  REQUIRE(spans.size() == 1);
  CHECK(spans[0].name == "send orders");
  CHECK(spans[0].kind == trace::Kind::kProducer);
  CHECK(spans[0].parent_span_id == trace::SpanContext::FromTraceparent(stored)->span_id);
  CHECK(spans[0].end >= spans[0].start);
  CHECK_FALSE(spans[0].error);
  const auto received = rig.Received();
  REQUIRE(received.size() == 2);
  const std::vector<std::pair<std::string, trace::AttributeValue>> expected = {
      {"messaging.system", "kafka"},
      {"messaging.operation.name", "send"},
      {"messaging.operation.type", "send"},
      {"messaging.destination.name", "orders"},
      {"messaging.message.id", *received[0].FindHeader("ce_id")},
      {"messaging.destination.partition.id", std::to_string(received[0].partition)},
      {"messaging.kafka.offset", received[0].offset}};
  CHECK(spans[0].attributes == expected);
  CHECK(*received[0].FindHeader("traceparent") == spans[0].context.ToTraceparent());
  CHECK(*received[1].FindHeader("traceparent") == unsampled);
}

TEST_CASE("what Kafka will never take is given up at once") {
  Rig rig;
  rig.cluster().PushErrors(RequestKind::kProduce, {kafka::kErrorPolicyViolation});
  rig.Submit({{"orders", "k", "1"}});
  REQUIRE(rig.AllPassed());
  rig.Submit({{"orders", "k", "2"}});
  REQUIRE(rig.AllPassed());
  rig.CheckCompletedOnce(1);
  const DeadLetter letter = rig.dead()[0];
  CHECK(letter.seq == 1);
  CHECK(letter.topic == "orders");
  CHECK(letter.key == "k");
  CHECK(letter.payload == "1");
  CHECK(letter.message_id == "s-1-1");
  CHECK(letter.attempts == 1);
  CHECK(letter.error.find("POLICY_VIOLATION") != std::string::npos);
  CHECK(rig.ReceivedByKey() == std::map<std::string, std::vector<std::string>>{{"k", {"2"}}});
}

TEST_CASE("a topic whose name Kafka does not allow is given up at once") {
  Rig rig;
  rig.Submit({{"no such name", "k", "1"}, {"orders", "k", "2"}});
  REQUIRE(rig.AllPassed());
  rig.CheckCompletedOnce(1);
  CHECK(rig.dead()[0].topic == "no such name");
  CHECK(rig.dead()[0].attempts == 1);
}

TEST_CASE("a message that is too large for the client is given up alone") {
  Rig rig;
  rig.Submit(
      {{"orders", "a", "1"}, {"orders", "a", std::string(2'000'000, 'x')}, {"orders", "a", "3"}});
  REQUIRE(rig.AllPassed());
  rig.CheckCompletedOnce(1);
  CHECK(rig.dead()[0].seq == 2);
  CHECK(rig.ReceivedByKey().at("a") == std::vector<std::string>{"1", "3"});
}

TEST_CASE("what may pass is tried again, in order per key") {
  Rig rig;
  rig.cluster().PushErrors(RequestKind::kProduce, {kUnknownServerError});
  rig.Submit(Numbered(30, 3));  // in one batch, which fails
  REQUIRE(Eventually(kWait, [&] { return rig.Failed(kUnknownServerError) > 0; }));
  std::vector<Outgoing> later = Numbered(60, 3);
  rig.Submit({later.begin() + 30, later.end()});
  REQUIRE(rig.AllPassed());
  rig.CheckCompletedOnce(0);
  const auto by_key = rig.ReceivedByKey();
  for (const auto& [key, values] : by_key) CHECK(values.size() == 20);
  CheckOrder(by_key);
}

TEST_CASE("what fails again and again is given up after its attempts") {
  Rig rig;
  rig.cluster().PushErrors(RequestKind::kProduce,
                           {kUnknownServerError, kUnknownServerError, kUnknownServerError});
  rig.Submit({{"orders", "k", "1"}});
  REQUIRE(Eventually(kWait, [&] { return rig.Failed(kUnknownServerError) > 0; }));
  rig.Submit({{"orders", "k", "2"}});
  REQUIRE(rig.AllPassed());
  rig.CheckCompletedOnce(1);
  CHECK(rig.dead()[0].seq == 1);
  CHECK(rig.dead()[0].attempts == 3);
  CHECK(rig.ReceivedByKey().at("k") == std::vector<std::string>{"2"});
}

TEST_CASE("of a refused batch only the message to blame is given up") {
  Rig rig;
  // The batch, then its messages one by one: the fourth is to blame.
  rig.cluster().PushErrors(RequestKind::kProduce,
                           {kafka::kErrorMessageTooLarge, 0, 0, 0, kafka::kErrorMessageTooLarge});
  SECTION("of different keys") {
    rig.Submit(Numbered(8, 8));
    REQUIRE(rig.AllPassed());
    rig.CheckCompletedOnce(1);
    CHECK(rig.dead()[0].seq == 4);
    CHECK(rig.dead()[0].attempts == 2);
    CHECK(rig.Received().size() == 7);
  }
  SECTION("of one key") {
    rig.Submit(Numbered(8, 1));
    REQUIRE(Eventually(kWait, [&] { return rig.Failed(kafka::kErrorMessageTooLarge) > 0; }));
    rig.Submit({{"orders", "k0", "8"}});
    REQUIRE(rig.AllPassed());
    rig.CheckCompletedOnce(1);
    CHECK(rig.dead()[0].seq == 4);
    CHECK(rig.ReceivedByKey().at("k0") ==
          std::vector<std::string>{"0", "1", "2", "4", "5", "6", "7", "8"});
  }
}

TEST_CASE("a refused batch is not counted against those in it") {
  // One that has one attempt left meets one to blame.
  Rig rig({.retry = {.attempts_max = 2,
                     .backoff_min = absl::Milliseconds(20),
                     .backoff_max = absl::Milliseconds(100)}});
  rig.cluster().PushErrors(RequestKind::kProduce,
                           {kUnknownServerError, kafka::kErrorMessageTooLarge});
  rig.Submit(Numbered(3, 3));
  REQUIRE(rig.AllPassed());
  rig.CheckCompletedOnce(0);
  CHECK(rig.Received().size() == 3);
}

TEST_CASE("messages of a missing topic are given up after one of them used its attempts") {
  Rig rig;
  rig.cluster().SetTopicError("gone", kafka::kErrorUnknownTopicOrPartition);
  rig.Submit(Numbered(200, 100, "gone"));
  REQUIRE(rig.AllPassed());
  CHECK(rig.dead().size() == 200);
  int attempts = 0;
  for (const DeadLetter& letter : rig.dead()) attempts = std::max(attempts, letter.attempts);
  CHECK(attempts == 3);
  const double failures =
      rig.Failed(kafka::kErrorLocalUnknownTopic) + rig.Failed(kafka::kErrorUnknownTopicOrPartition);
  CHECK(failures < 3 * 200);
  // Other topics go on meanwhile, and are not mixed up with it.
  rig.Submit(Numbered(10, 10));
  REQUIRE(rig.AllPassed());
  rig.CheckCompletedOnce(200);
}

TEST_CASE("a full queue of the client only slows the sender down") {
  Rig rig({.linger = absl::Milliseconds(1), .queue_messages_max = 7});
  rig.Submit(Numbered(500, 5));
  REQUIRE(rig.AllPassed());
  rig.CheckCompletedOnce(0);
  const auto by_key = rig.ReceivedByKey();
  for (const auto& [key, values] : by_key) CHECK(values.size() == 100);
  CheckOrder(by_key);
}

TEST_CASE("retries and a full queue of the client keep the order too") {
  Rig rig({.linger = absl::Milliseconds(1), .queue_messages_max = 3});
  rig.cluster().PushErrors(RequestKind::kProduce, {kUnknownServerError});
  rig.Submit(Numbered(3, 1));
  REQUIRE(Eventually(kWait, [&] { return rig.Failed(kUnknownServerError) > 0; }));
  std::vector<Outgoing> later = Numbered(50, 1);
  rig.Submit({later.begin() + 3, later.end()});
  REQUIRE(rig.AllPassed());
  rig.CheckCompletedOnce(0);
  CHECK(rig.ReceivedByKey().at("k0").size() == 50);
  CheckOrder(rig.ReceivedByKey());
}

TEST_CASE("Finish waits for what is in flight") {
  Rig rig;
  REQUIRE(rig.cluster().SetRoundTripTime(absl::Milliseconds(100)).ok());
  rig.Submit(Numbered(300, 10));
  rig.Finish(absl::Now() + kWait);
  CHECK(rig.window().messages() == 0);
  CHECK(rig.window().passed_seq() == 300);
  rig.CheckCompletedOnce(0);
  CHECK_FALSE(rig.sender().Submit({0}));
}

TEST_CASE("with Kafka away Finish ends at its deadline, and nothing is passed or given up") {
  Rig rig;
  REQUIRE(rig.cluster().SetReachable(false).ok());
  rig.Submit(Numbered(10, 2));
  const absl::Time start = absl::Now();
  rig.Finish(start + absl::Milliseconds(300));
  CHECK(absl::Now() - start >= absl::Milliseconds(300));
  CHECK(absl::Now() - start < absl::Seconds(5));
  CHECK(rig.window().messages() == 10);
  CHECK(rig.window().passed_seq() == 0);
  CHECK(rig.dead().empty());
  CHECK(rig.sender().failure() == absl::OkStatus());
}

TEST_CASE("Kafka's return finds all messages in order") {
  Rig rig;
  REQUIRE(rig.cluster().SetReachable(false).ok());
  rig.Submit(Numbered(100, 4));
  CHECK_FALSE(rig.AllPassed(absl::Milliseconds(300)));
  REQUIRE(rig.cluster().SetReachable(true).ok());
  REQUIRE(rig.AllPassed());
  rig.CheckCompletedOnce(0);
  CheckOrder(rig.ReceivedByKey());
}

TEST_CASE("a producer that can do nothing more ends the sender, with nothing passed") {
  Rig rig;
  rig.cluster().PushErrors(RequestKind::kProduce, {kClusterAuthorizationFailed});
  rig.Submit(Numbered(5, 5));
  REQUIRE(Eventually(kWait, [&] { return !rig.sender().failure().ok(); }));
  CHECK(rig.sender().failure().message().find("CLUSTER_AUTHORIZATION_FAILED") !=
        absl::string_view::npos);
  CHECK(rig.window().passed_seq() == 0);
  CHECK(rig.dead().empty());
}

TEST_CASE("an abandoned sender sends nothing more and gives nothing up") {
  Rig rig({.linger = absl::Milliseconds(1),
           .retry = {.attempts_max = 1,
                     .backoff_min = absl::Milliseconds(20),
                     .backoff_max = absl::Milliseconds(100)}});
  REQUIRE(rig.cluster().SetReachable(false).ok());
  rig.Submit(Numbered(100, 4));
  rig.sender().Abandon();
  CHECK_FALSE(rig.sender().Submit({0}));
  rig.Finish(absl::Now() + kWait);
  REQUIRE(rig.cluster().SetReachable(true).ok());
  CHECK(rig.window().messages() == 100);
  CHECK(rig.dead().empty());
  CHECK(rig.Received().empty());
}

}  // namespace
}  // namespace saldo::retranslator
