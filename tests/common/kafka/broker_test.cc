// The clients against a real Kafka broker.
#include <catch2/catch.hpp>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "common/devstack/kafka_broker.h"
#include "common/kafka/admin.h"
#include "common/kafka/consumer.h"
#include "common/kafka/producer.h"
#include "tests/common/kafka/recorder.h"
#include "tests/support/test_env.h"
#include "tests/support/test_servers.h"

namespace saldo::kafka {
namespace {

using testing::TestKafka;
using testing::UniqueName;

ConnectionOptions ConnectionTo(const devstack::KafkaBroker& broker) {
  ConnectionOptions options;
  options.brokers = broker.bootstrap_servers();
  return options;
}

ProducerOptions ProducerFor(const devstack::KafkaBroker& broker) {
  ProducerOptions options;
  options.connection = ConnectionTo(broker);
  return options;
}

std::unique_ptr<Consumer> MakeConsumer(ConsumerOptions options,
                                       const devstack::KafkaBroker& broker = TestKafka()) {
  options.connection = ConnectionTo(broker);
  auto consumer = Consumer::Create(options);
  REQUIRE(consumer.status() == absl::OkStatus());
  return *std::move(consumer);
}

std::unique_ptr<Admin> MakeAdmin(const devstack::KafkaBroker& broker = TestKafka()) {
  auto admin = Admin::Create(ConnectionTo(broker));
  REQUIRE(admin.status() == absl::OkStatus());
  return *std::move(admin);
}

std::string MakeTopic(int partitions,
                      std::vector<std::pair<std::string, std::string>> configs = {}) {
  NewTopic topic{.name = UniqueName("topic"), .partitions = partitions, .configs = configs};
  REQUIRE(MakeAdmin()->CreateTopic(topic, CallContext(Soon())) == absl::OkStatus());
  return topic.name;
}

std::vector<ReceivedMessage> ReadAll(const std::string& topic,
                                     const devstack::KafkaBroker& broker = TestKafka()) {
  std::vector<ReceivedMessage> messages;
  auto consumer = MakeConsumer({}, broker);
  REQUIRE(consumer->ReadToEnd(topic, CallContext(Soon()), [&](ReceivedMessage message) {
    messages.push_back(std::move(message));
  }) == absl::OkStatus());
  return messages;
}

// Waits for room like a relay does.
void Send(Producer& producer, const Message& message, const Recorder& reports) {
  const absl::Time deadline = Soon();
  for (;;) {
    const SendResult result = producer.TrySend(message);
    if (result.queued()) return;
    REQUIRE(result.outcome == SendResult::Outcome::kQueueFull);
    REQUIRE(absl::Now() < deadline);
    producer.PollReports(absl::Milliseconds(100), reports);
  }
}

// Every message is "<number>"; of each key the numbers must rise without a gap or a repetition.
void CheckSequences(const std::vector<ReceivedMessage>& messages, int keys, int per_key) {
  std::map<std::string, int> next;
  for (const ReceivedMessage& message : messages) {
    REQUIRE(message.key.has_value());
    REQUIRE(message.value.has_value());
    REQUIRE(*message.value == std::to_string(next[*message.key]));
    ++next[*message.key];
  }
  REQUIRE(static_cast<int>(next.size()) == keys);
  for (const auto& [key, count] : next) REQUIRE(count == per_key);
}

TEST_CASE("keys, values and headers arrive as they were sent") {
  const std::string topic = MakeTopic(1);
  auto producer = MakeProducer(ProducerFor(TestKafka()));
  Topic* handle = TopicOf(*producer, topic);
  const std::string binary("\0\xff\n", 3);
  const HeaderView headers[] = {
      {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
      {"empty", ""},
      {"null", {}},
      {"binary", binary},
      {"twice", "1"},
      {"twice", "2"}};
  Recorder reports;
  Send(*producer, {.topic = handle, .key = binary, .value = binary, .headers = headers, .tag = 1},
       reports);
  Send(*producer, {.topic = handle, .key = "", .value = "", .tag = 2}, reports);
  Send(*producer, {.topic = handle, .tag = 3}, reports);
  std::string kept(5000, 'k');
  Send(*producer, {.topic = handle, .value = kept, .tag = ~uint64_t{0}, .copy_value = false},
       reports);
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  REQUIRE(reports.all.size() == 4);
  for (size_t i = 0; i < 4; ++i) {
    CHECK(reports.all[i].status() == absl::OkStatus());
    CHECK(reports.all[i].partition == 0);
    CHECK(reports.all[i].offset == static_cast<int64_t>(i));
  }
  CHECK(reports.all[3].tag == ~uint64_t{0});

  const std::vector<ReceivedMessage> got = ReadAll(topic);
  REQUIRE(got.size() == 4);
  CHECK(got[0].topic == topic);
  CHECK(got[0].key == binary);
  CHECK(got[0].value == binary);
  CHECK(absl::AbsDuration(absl::Now() - got[0].timestamp) < absl::Minutes(5));
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"traceparent", std::string(headers[0].value)},
      {"empty", ""},
      {"null", ""},
      {"binary", binary},
      {"twice", "1"},
      {"twice", "2"}};
  CHECK(got[0].headers == expected);
  REQUIRE(got[0].FindHeader("twice") != nullptr);
  CHECK(*got[0].FindHeader("twice") == "2");
  CHECK(got[0].FindHeader("absent") == nullptr);
  CHECK(got[1].key == "");
  CHECK(got[1].value == "");
  CHECK(got[1].headers.empty());
  CHECK_FALSE(got[2].key.has_value());
  CHECK_FALSE(got[2].value.has_value());
  CHECK(got[3].value == kept);
}

TEST_CASE("messages of a key keep their order, with a queue that is often full") {
  constexpr int kKeys = 50;
  constexpr int kPerKey = 1000;
  const std::string topic = MakeTopic(4);
  ProducerOptions options = ProducerFor(TestKafka());
  options.queue_messages_max = 700;
  options.compression = Compression::kLz4;
  auto producer = MakeProducer(options);
  Topic* handle = TopicOf(*producer, topic);
  Recorder reports;
  int64_t deepest = 0;
  for (int number = 0; number < kPerKey; ++number) {
    const std::string value = std::to_string(number);
    for (int key = 0; key < kKeys; ++key) {
      const std::string name = "key" + std::to_string(key);
      Send(*producer, {.topic = handle, .key = name, .value = value}, reports);
      deepest = std::max(deepest, producer->in_flight());
    }
  }
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  CHECK(deepest == 700);
  CHECK(reports.all.size() == kKeys * kPerKey);
  CheckSequences(ReadAll(topic), kKeys, kPerKey);
}

TEST_CASE("a broker that is killed and restarted under load loses and reorders nothing") {
  constexpr int kKeys = 20;
  constexpr int kPerKey = 500;
  testing::TempDir dir;
  auto broker = devstack::KafkaBroker::Start({.dir = dir.File("kafka")});
  REQUIRE(broker.status() == absl::OkStatus());
  auto admin = MakeAdmin(**broker);
  REQUIRE(admin->CreateTopic({.name = "orders", .partitions = 3}, CallContext(Soon())) ==
          absl::OkStatus());
  ProducerOptions options = ProducerFor(**broker);
  options.connection.request_timeout = absl::Seconds(5);
  options.batch_messages_max = 50;
  auto producer = MakeProducer(options);
  Topic* handle = TopicOf(*producer, "orders");

  INFO("SALDO_TEST_SEED=" << testing::Seed());
  std::mt19937_64 random(testing::Seed());
  const int kill_at = static_cast<int>(random() % (kPerKey / 2)) + kPerKey / 8;
  const int restart_at = kill_at + static_cast<int>(random() % (kPerKey / 8)) + 1;
  Recorder reports;
  for (int number = 0; number < kPerKey; ++number) {
    if (number == kill_at) (*broker)->Kill();
    if (number == restart_at) REQUIRE((*broker)->Restart() == absl::OkStatus());
    const std::string value = std::to_string(number);
    for (int key = 0; key < kKeys; ++key) {
      const std::string name = "key" + std::to_string(key);
      Send(*producer, {.topic = handle, .key = name, .value = value}, reports);
    }
    producer->PollReports(absl::ZeroDuration(), reports);
  }
  REQUIRE(producer->Flush(absl::Now() + absl::Minutes(2), reports) == absl::OkStatus());
  REQUIRE(reports.all.size() == kKeys * kPerKey);
  for (const DeliveryReport& report : reports.all) REQUIRE(report.status() == absl::OkStatus());
  CheckSequences(ReadAll("orders", **broker), kKeys, kPerKey);
}

TEST_CASE("messages for a topic that does not exist fail after the wait, and go once it does") {
  testing::TempDir dir;
  auto broker =
      devstack::KafkaBroker::Start({.dir = dir.File("kafka"), .auto_create_topics = false});
  REQUIRE(broker.status() == absl::OkStatus());
  ProducerOptions options = ProducerFor(**broker);
  options.topic_wait = absl::Seconds(1);
  options.metadata_refresh = absl::Seconds(1);
  auto producer = MakeProducer(options);
  Topic* handle = TopicOf(*producer, "late");
  const Message message{.topic = handle, .key = "k", .value = "v"};
  Recorder reports;
  Send(*producer, message, reports);
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  REQUIRE(reports.all.size() == 1);
  CHECK(reports.all[0].error_class == ErrorClass::kRetriable);
  CHECK(reports.all[0].status().code() == absl::StatusCode::kNotFound);

  auto admin = MakeAdmin(**broker);
  REQUIRE(admin->CreateTopic({.name = "late"}, CallContext(Soon())) == absl::OkStatus());
  CHECK(testing::Eventually(absl::Seconds(30), [&] {
    if (!producer->TrySend(message).queued()) return false;
    return producer->Flush(Soon(), reports).ok() && reports.all.back().ok();
  }));
}

TEST_CASE("the broker refuses a batch for one message; alone, each shows whether it is to blame") {
  const std::string topic = MakeTopic(1, {{"max.message.bytes", "10000"}});
  ProducerOptions options = ProducerFor(TestKafka());
  options.linger = absl::Milliseconds(500);
  auto producer = MakeProducer(options);
  Topic* handle = TopicOf(*producer, topic);
  Recorder reports;
  const std::string large(20'000, 'x');
  Send(*producer, {.topic = handle, .key = "k", .value = "first", .tag = 0}, reports);
  Send(*producer, {.topic = handle, .key = "k", .value = large, .tag = 1}, reports);
  Send(*producer, {.topic = handle, .key = "k", .value = "last", .tag = 2}, reports);
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  REQUIRE(reports.all.size() == 3);
  for (const DeliveryReport& report : reports.all) {
    CHECK(ErrorClassName(report.error_class) == "batch_refused");
    CHECK(report.error == kErrorMessageTooLarge);
  }
  reports.all.clear();
  for (const std::string& value : {std::string("first"), large, std::string("last")}) {
    Send(*producer, {.topic = handle, .key = "k", .value = value}, reports);
    REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  }
  REQUIRE(reports.all.size() == 3);
  CHECK(reports.all[0].ok());
  CHECK(reports.all[1].error == kErrorMessageTooLarge);
  CHECK(reports.all[2].ok());
  CHECK(ReadAll(topic).size() == 2);
}

TEST_CASE("a compacted topic refuses a message without a key") {
  const std::string topic = MakeTopic(1, {{"cleanup.policy", "compact"}});
  auto producer = MakeProducer(ProducerFor(TestKafka()));
  Recorder reports;
  Send(*producer, {.topic = TopicOf(*producer, topic), .value = "v"}, reports);
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  REQUIRE(reports.all.size() == 1);
  CHECK(reports.all[0].error == kErrorInvalidRecord);
  CHECK(reports.all[0].error_class == ErrorClass::kBatchRefused);
}

TEST_CASE("a group reads on after what it committed") {
  const std::string topic = MakeTopic(1);
  auto producer = MakeProducer(ProducerFor(TestKafka()));
  Topic* handle = TopicOf(*producer, topic);
  Recorder reports;
  for (const char* value : {"0", "1", "2"}) {
    Send(*producer, {.topic = handle, .key = "k", .value = value}, reports);
  }
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  const std::string group = UniqueName("group");
  {
    auto consumer = MakeConsumer({.group = group});
    REQUIRE(consumer->Subscribe({topic}) == absl::OkStatus());
    for (const char* value : {"0", "1"}) {
      auto message = consumer->Poll(absl::Seconds(60));
      REQUIRE(message.status() == absl::OkStatus());
      REQUIRE(message->has_value());
      CHECK((*message)->value == value);
      REQUIRE(consumer->Commit(**message) == absl::OkStatus());
      CHECK(consumer->Position(topic, 0) == (*message)->offset + 1);
    }
    CHECK(consumer->Close(Soon()) == absl::OkStatus());
    CHECK(consumer->Close(Soon()) == absl::OkStatus());
    CHECK_FALSE(consumer->Poll(absl::ZeroDuration()).ok());
  }
  auto consumer = MakeConsumer({.group = group});
  REQUIRE(consumer->Subscribe({topic}) == absl::OkStatus());
  auto message = consumer->Poll(absl::Seconds(60));
  REQUIRE(message.status() == absl::OkStatus());
  REQUIRE(message->has_value());
  CHECK((*message)->value == "2");
}

TEST_CASE("an assignment begins where it is told, and its wait can be ended") {
  const std::string topic = MakeTopic(2);
  auto producer = MakeProducer(ProducerFor(TestKafka()));
  Topic* handle = TopicOf(*producer, topic);
  Recorder reports;
  Send(*producer, {.topic = handle, .key = "k", .value = "old"}, reports);
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());

  auto consumer = MakeConsumer({});
  REQUIRE(consumer->AssignAll(topic, StartFrom::kLatest, CallContext(Soon())) == absl::OkStatus());
  Send(*producer, {.topic = handle, .key = "k", .value = "new"}, reports);
  auto message = consumer->Poll(absl::Seconds(60));
  REQUIRE(message.status() == absl::OkStatus());
  REQUIRE(message->has_value());
  CHECK((*message)->value == "new");

  const absl::Time start = absl::Now();
  consumer->Wake();
  message = consumer->Poll(absl::Seconds(60));
  REQUIRE(message.status() == absl::OkStatus());
  CHECK_FALSE(message->has_value());
  CHECK(absl::Now() - start < absl::Seconds(30));

  CHECK(consumer->AssignAll(UniqueName("absent"), StartFrom::kLatest, CallContext(Soon())).code() ==
        absl::StatusCode::kNotFound);
}

TEST_CASE("topics are created once, listed, described and deleted") {
  auto admin = MakeAdmin();
  const std::string name = UniqueName("topic");
  const CallContext context(Soon());
  REQUIRE(admin->CreateTopic({.name = name, .partitions = 3}, context) == absl::OkStatus());
  CHECK(admin->CreateTopic({.name = name}, context).code() == absl::StatusCode::kAlreadyExists);
  auto described = admin->DescribeTopic(name, context);
  REQUIRE(described.status() == absl::OkStatus());
  CHECK(described->partitions == 3);
  CHECK(described->partitions_led == 3);
  auto topics = admin->ListTopics(context);
  REQUIRE(topics.status() == absl::OkStatus());
  CHECK(std::count_if(topics->begin(), topics->end(),
                      [&](const TopicDescription& topic) { return topic.name == name; }) == 1);
  CHECK(admin->CreateTopic({.name = UniqueName("t"), .replication_factor = 9}, context).code() ==
        absl::StatusCode::kInvalidArgument);
  CHECK(admin
            ->CreateTopic({.name = UniqueName("t"), .configs = {{"cleanup.policy", "nonsense"}}},
                          context)
            .code() == absl::StatusCode::kInvalidArgument);
  REQUIRE(admin->DeleteTopic(name, context) == absl::OkStatus());
  CHECK(admin->DeleteTopic(name, context).code() == absl::StatusCode::kNotFound);
  CHECK(admin->DescribeTopic(name, context).status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE("calls to a broker that is not there end with their deadline") {
  auto admin = Admin::Create({.brokers = "127.0.0.1:1"});
  REQUIRE(admin.ok());
  const absl::Time start = absl::Now();
  const auto short_call = [] { return CallContext::WithTimeout(absl::Milliseconds(300)); };
  CHECK_FALSE((*admin)->CreateTopic({.name = "t"}, short_call()).ok());
  CHECK_FALSE((*admin)->DeleteTopic("t", short_call()).ok());
  CHECK_FALSE((*admin)->DescribeTopic("t", short_call()).ok());
  CHECK_FALSE((*admin)->ListTopics(short_call()).ok());
  CHECK_FALSE((*admin)->Ping(short_call()).ok());
  CancelFlag cancel;
  cancel.Cancel();
  CHECK((*admin)->CreateTopic({.name = "t"}, CallContext(Soon(), &cancel)).code() ==
        absl::StatusCode::kCancelled);
  CHECK(absl::Now() - start < absl::Seconds(30));
}

TEST_CASE("nothing is lost or out of order in a partition that has just been made") {
  // Its leader is known before it takes messages: the first batches must be tried again.
  ProducerOptions options = ProducerFor(TestKafka());
  options.linger = absl::Milliseconds(1);
  options.batch_messages_max = 2;
  for (int round = 0; round < 10; ++round) {
    auto producer = MakeProducer(options);
    const std::string topic = MakeTopic(3);
    Recorder reports;
    for (uint64_t tag = 0; tag < 200; ++tag) {
      const std::string key = std::to_string(tag % 7), value = std::to_string(tag);
      REQUIRE(producer
                  ->TrySend(
                      {.topic = TopicOf(*producer, topic), .key = key, .value = value, .tag = tag})
                  .queued());
      if (tag % 20 == 0) producer->PollReports(absl::Milliseconds(1), reports);
    }
    REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
    std::map<std::string, std::vector<int>> by_key;
    for (const ReceivedMessage& message : ReadAll(topic))
      by_key[*message.key].push_back(std::stoi(*message.value));
    for (int key = 0; key < 7; ++key) {
      std::vector<int> sent;
      for (int value = key; value < 200; value += 7) sent.push_back(value);
      CHECK(by_key[std::to_string(key)] == sent);
    }
  }
}

}  // namespace
}  // namespace saldo::kafka
