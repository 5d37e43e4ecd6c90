// The producer against the library's imitation of Kafka, which fails on demand.
#include "common/kafka/mock_cluster.h"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "common/kafka/consumer.h"
#include "common/kafka/producer.h"
#include "common/runtime/thread.h"
#include "tests/common/kafka/recorder.h"

namespace saldo::kafka {
namespace {

std::unique_ptr<MockCluster> StartCluster() {
  auto cluster = MockCluster::Start(1);
  REQUIRE(cluster.status() == absl::OkStatus());
  return *std::move(cluster);
}

ProducerOptions OptionsFor(const MockCluster& cluster) {
  ProducerOptions options;
  options.connection.brokers = cluster.bootstrap_servers();
  options.linger = absl::Milliseconds(1);
  return options;
}

TEST_CASE("the broker's refusals reach the report with their class") {
  struct Row {
    ErrorCode error;
    ErrorClass error_class;
  };
  const Row rows[] = {
      {kErrorMessageTooLarge, ErrorClass::kBatchRefused},
      {kErrorInvalidRecord, ErrorClass::kBatchRefused},
      {kErrorTopicAuthorizationFailed, ErrorClass::kPermanent},
      {kErrorPolicyViolation, ErrorClass::kPermanent},
  };
  for (const Row& row : rows) {
    INFO(ErrorName(row.error));
    auto cluster = StartCluster();
    REQUIRE(cluster->CreateTopic("orders", 1).ok());
    auto producer = MakeProducer(OptionsFor(*cluster));
    Topic* topic = TopicOf(*producer, "orders");
    const ErrorCode errors[] = {row.error};
    cluster->PushErrors(RequestKind::kProduce, errors);

    Recorder reports;
    REQUIRE(producer->TrySend({.topic = topic, .key = "k", .value = "v", .tag = 7}).queued());
    REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
    REQUIRE(reports.all.size() == 1);
    CHECK(reports.all[0].tag == 7);
    CHECK(reports.all[0].error == row.error);
    CHECK(ErrorClassName(reports.all[0].error_class) == ErrorClassName(row.error_class));
    CHECK_FALSE(reports.all[0].possibly_stored);

    CHECK(producer->fatal_error() == absl::OkStatus());
    // The library takes this one for the whole topic, until it asks for the metadata again.
    if (row.error == kErrorTopicAuthorizationFailed) continue;
    REQUIRE(producer->TrySend({.topic = topic, .key = "k", .value = "v", .tag = 8}).queued());
    REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
    REQUIRE(reports.all.size() == 2);
    CHECK(reports.all[1].status() == absl::OkStatus());
  }
}

TEST_CASE("what passes by itself is retried in order, unseen by the caller") {
  auto cluster = StartCluster();
  REQUIRE(cluster->CreateTopic("orders", 1).ok());
  auto producer = MakeProducer(OptionsFor(*cluster));
  Topic* topic = TopicOf(*producer, "orders");
  const ErrorCode errors[] = {kErrorNotLeaderForPartition, kErrorLocalTransport,
                              kErrorNotEnoughReplicas, kErrorLocalTransport};
  cluster->PushErrors(RequestKind::kProduce, errors);

  Recorder reports;
  for (uint64_t tag = 0; tag < 200; ++tag) {
    const std::string value = std::to_string(tag);
    REQUIRE(producer->TrySend({.topic = topic, .key = "k", .value = value, .tag = tag}).queued());
    producer->PollReports(absl::ZeroDuration(), reports);
  }
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  REQUIRE(reports.all.size() == 200);
  for (uint64_t tag = 0; tag < 200; ++tag) {
    REQUIRE(reports.all[tag].status() == absl::OkStatus());
    REQUIRE(reports.all[tag].tag == tag);
    REQUIRE(reports.all[tag].offset == static_cast<int64_t>(tag));
  }
}

TEST_CASE("a full queue refuses until reports have been taken") {
  auto cluster = StartCluster();
  REQUIRE(cluster->CreateTopic("orders", 1).ok());
  ProducerOptions options = OptionsFor(*cluster);
  options.queue_messages_max = 10;
  auto producer = MakeProducer(options);
  Topic* topic = TopicOf(*producer, "orders");
  Recorder reports;
  for (int i = 0; i < 10; ++i) {
    REQUIRE(producer->TrySend({.topic = topic, .key = "k", .value = "v"}).queued());
  }
  const SendResult refused = producer->TrySend({.topic = topic, .key = "k", .value = "v"});
  CHECK(refused.outcome == SendResult::Outcome::kQueueFull);
  CHECK(refused.status().code() == absl::StatusCode::kResourceExhausted);
  CHECK(producer->in_flight() == 10);
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  CHECK(producer->in_flight() == 0);
  CHECK(producer->TrySend({.topic = topic, .key = "k", .value = "v"}).queued());
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  CHECK(reports.all.size() == 11);
}

TEST_CASE("the bound on bytes refuses as well") {
  auto cluster = StartCluster();
  ProducerOptions options = OptionsFor(*cluster);
  options.queue_bytes_max = 64 << 10;
  auto producer = MakeProducer(options);
  Topic* topic = TopicOf(*producer, "orders");
  const std::string value(20 << 10, 'x');
  int queued = 0;
  while (producer->TrySend({.topic = topic, .key = "k", .value = value}).queued()) {
    REQUIRE(++queued <= 4);
  }
  CHECK(queued >= 3);
}

TEST_CASE("a message beyond the client's own bound is refused at once, for good") {
  auto cluster = StartCluster();
  ProducerOptions options = OptionsFor(*cluster);
  options.message_bytes_max = 10'000;
  auto producer = MakeProducer(options);
  const std::string value(20'000, 'x');
  const SendResult result =
      producer->TrySend({.topic = TopicOf(*producer, "orders"), .key = "k", .value = value});
  CHECK(result.outcome == SendResult::Outcome::kFailed);
  CHECK(result.error_class == ErrorClass::kPermanent);
  CHECK(ErrorNameOf(result.status()) == "MSG_SIZE_TOO_LARGE");
  CHECK(producer->in_flight() == 0);
}

TEST_CASE("a flush ends at its deadline and leaves the messages queued") {
  auto cluster = StartCluster();
  REQUIRE(cluster->CreateTopic("orders", 1).ok());
  REQUIRE(cluster->SetReachable(false).ok());
  auto producer = MakeProducer(OptionsFor(*cluster));
  Topic* topic = TopicOf(*producer, "orders");
  REQUIRE(producer->TrySend({.topic = topic, .key = "k", .value = "v"}).queued());
  Recorder reports;
  const absl::Time start = absl::Now();
  const absl::Status status = producer->Flush(start + absl::Milliseconds(300), reports);
  CHECK(status.code() == absl::StatusCode::kDeadlineExceeded);
  CHECK(absl::Now() - start < absl::Seconds(5));
  CHECK(producer->in_flight() == 1);
  CHECK(reports.all.empty());

  REQUIRE(cluster->SetReachable(true).ok());
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  REQUIRE(reports.all.size() == 1);
  CHECK(reports.all[0].ok());
}

TEST_CASE("the absence of all brokers is noticed, and their return") {
  auto cluster = StartCluster();
  REQUIRE(cluster->CreateTopic("orders", 1).ok());
  auto producer = MakeProducer(OptionsFor(*cluster));
  Topic* topic = TopicOf(*producer, "orders");
  Recorder reports;
  REQUIRE(producer->TrySend({.topic = topic, .key = "k", .value = "v"}).queued());
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  CHECK_FALSE(producer->all_brokers_down());
  CHECK(producer->Ping(CallContext(Soon())) == absl::OkStatus());

  REQUIRE(cluster->SetReachable(false).ok());
  REQUIRE(producer->TrySend({.topic = topic, .key = "k", .value = "v"}).queued());
  const absl::Time deadline = Soon();
  while (!producer->all_brokers_down() && absl::Now() < deadline) {
    producer->PollReports(absl::Milliseconds(50), reports);
  }
  CHECK(producer->all_brokers_down());
  CHECK_FALSE(producer->Ping(CallContext::WithTimeout(absl::Milliseconds(200))).ok());

  REQUIRE(cluster->SetReachable(true).ok());
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  CHECK_FALSE(producer->all_brokers_down());
}

TEST_CASE("purged messages are reported, none is lost from sight") {
  auto cluster = StartCluster();
  REQUIRE(cluster->SetReachable(false).ok());
  auto producer = MakeProducer(OptionsFor(*cluster));
  Topic* topic = TopicOf(*producer, "orders");
  for (uint64_t tag = 0; tag < 50; ++tag) {
    REQUIRE(producer->TrySend({.topic = topic, .key = "k", .value = "v", .tag = tag}).queued());
  }
  producer->Purge();
  Recorder reports;
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  REQUIRE(reports.all.size() == 50);
  for (const DeliveryReport& report : reports.all) {
    REQUIRE(report.error == kErrorLocalPurgedInQueue);
    REQUIRE(report.error_class == ErrorClass::kRetriable);
  }
}

TEST_CASE("a wait for reports can be ended before and while it lasts") {
  auto cluster = StartCluster();
  auto producer = MakeProducer(OptionsFor(*cluster));
  Recorder reports;
  const absl::Time start = absl::Now();
  producer->WakeReports();
  producer->PollReports(absl::Seconds(60), reports);
  CHECK(absl::Now() - start < absl::Seconds(30));

  runtime::Thread waker("waker", [&] { producer->WakeReports(); });
  producer->PollReports(absl::Seconds(60), reports);
  waker.Join();
  CHECK(absl::Now() - start < absl::Seconds(30));
}

TEST_CASE("a message that times out fails as retriable") {
  auto cluster = StartCluster();
  REQUIRE(cluster->SetReachable(false).ok());
  ProducerOptions options = OptionsFor(*cluster);
  options.message_timeout = absl::Milliseconds(200);
  auto producer = MakeProducer(options);
  REQUIRE(producer->TrySend({.topic = TopicOf(*producer, "orders"), .value = "v"}).queued());
  Recorder reports;
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  REQUIRE(reports.all.size() == 1);
  CHECK(reports.all[0].error == kErrorLocalMessageTimedOut);
  CHECK(reports.all[0].error_class == ErrorClass::kRetriable);
}

TEST_CASE("a producer with undelivered messages goes away without waiting") {
  auto cluster = StartCluster();
  REQUIRE(cluster->SetReachable(false).ok());
  auto producer = MakeProducer(OptionsFor(*cluster));
  Topic* topic = TopicOf(*producer, "orders");
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(producer->TrySend({.topic = topic, .key = "k", .value = "v"}).queued());
  }
  const absl::Time start = absl::Now();
  producer.reset();
  CHECK(absl::Now() - start < absl::Seconds(10));
}

TEST_CASE("a producer that failed for good says so on every path") {
  auto cluster = StartCluster();
  REQUIRE(cluster->CreateTopic("orders", 1).ok());
  auto producer = MakeProducer(OptionsFor(*cluster));
  Topic* topic = TopicOf(*producer, "orders");
  const ErrorCode errors[] = {kErrorOutOfOrderSequenceNumber};
  cluster->PushErrors(RequestKind::kProduce, errors);
  Recorder reports;
  REQUIRE(producer->TrySend({.topic = topic, .key = "k", .value = "v"}).queued());
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  REQUIRE(reports.all.size() == 1);
  CHECK(reports.all[0].error_class == ErrorClass::kFatal);
  CHECK_FALSE(producer->fatal_error().ok());
  const SendResult result = producer->TrySend({.topic = topic, .key = "k", .value = "v"});
  CHECK(result.outcome == SendResult::Outcome::kFailed);
  CHECK(result.error_class == ErrorClass::kFatal);
}

TEST_CASE("topics are checked by name and bounded in number") {
  auto cluster = StartCluster();
  ProducerOptions options = OptionsFor(*cluster);
  options.topics_max = 2;
  auto producer = MakeProducer(options);
  CHECK(TopicOf(*producer, "a") == TopicOf(*producer, "a"));
  CHECK(TopicOf(*producer, "b")->name() == "b");
  CHECK(producer->TopicFor("c").status().code() == absl::StatusCode::kResourceExhausted);
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("a b"),
        std::string("a\0", 2), std::string("\xd1\x8f"), std::string(250, 'a')}) {
    CHECK(producer->TopicFor(name).status().code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("settings that cannot be are named, without the password") {
  ProducerOptions options;
  CHECK(Producer::Create(options).status().code() == absl::StatusCode::kInvalidArgument);
  options.connection.brokers = "127.0.0.1:1";
  options.batch_messages_max = -1;
  const absl::Status status = Producer::Create(options).status();
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(std::string(status.message()), Catch::Contains("batch.num.messages"));
}

TEST_CASE("the statistics give the depth of the queue and the brokers in reach") {
  const ProducerStats stats = ParseStats(
      R"({"name":"a","msg_cnt":12,"msg_size":3456,"brokers":{"x":{"state":"UP","msg_cnt":9},)"
      R"("y":{"state":"DOWN"},"z":{"state":"UP"}}})");
  CHECK(stats.queued_messages == 12);
  CHECK(stats.queued_bytes == 3456);
  CHECK(stats.brokers_up == 2);
  CHECK(ParseStats("{}").brokers_up == 0);
}

TEST_CASE("a consumer reads what a producer wrote, to the end") {
  auto cluster = StartCluster();
  REQUIRE(cluster->CreateTopic("orders", 3).ok());
  auto producer = MakeProducer(OptionsFor(*cluster));
  Recorder reports;
  for (int i = 0; i < 100; ++i) {
    const std::string key = std::to_string(i % 7);
    REQUIRE(producer->TrySend({.topic = TopicOf(*producer, "orders"), .key = key, .value = "v"})
                .queued());
  }
  REQUIRE(producer->Flush(Soon(), reports) == absl::OkStatus());
  ConsumerOptions options;
  options.connection.brokers = cluster->bootstrap_servers();
  auto consumer = Consumer::Create(options);
  REQUIRE(consumer.ok());
  int count = 0;
  REQUIRE((*consumer)->ReadToEnd("orders", CallContext(Soon()),
                                 [&](ReceivedMessage) { ++count; }) == absl::OkStatus());
  CHECK(count == 100);
}

}  // namespace
}  // namespace saldo::kafka
