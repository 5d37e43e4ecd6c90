// An outbox of a million messages, drained by saldo-retranslator, and the same messages sent from
// memory by a bare producer with the same options to the same broker.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/cpu_usage.h"
#include "bench/harness.h"
#include "bench/prefill.h"
#include "bench/stack.h"
#include "bench/subjects.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/kafka/consumer.h"
#include "common/kafka/producer.h"
#include "common/postgres/connection.h"
#include "retranslator/config.h"

namespace saldo::bench {
namespace {

constexpr const char* kTopic = "bench-drain";
constexpr const char* kFilled = "drain_filled";
constexpr absl::Duration kTimeout = absl::Minutes(2);
constexpr absl::Duration kCursorPoll = absl::Milliseconds(10);
constexpr int64_t kReadAtOnce = 50'000;
constexpr int64_t kSendsPerPoll = 1'000;
constexpr int kCompared = 1'000;
constexpr size_t kHeaders = 7;

constexpr postgres::Statement kRead{
    "bench.read",
    "SELECT '0-' || o.batch_id || '-' || o.ordinal, o.key, o.payload, o.traceparent, o.type, "
    "to_char(s.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') "
    "FROM outbox AS o JOIN sequenced_batches AS s USING (batch_id) "
    "WHERE s.seq > $1 AND s.seq <= $2 ORDER BY s.seq"};
constexpr postgres::Statement kCursor{"bench.cursor",
                                      "SELECT seq FROM cursors WHERE consumer = 'relay'"};

CallContext Call() { return CallContext::WithTimeout(kTimeout); }

// A message as the relay sends it; the views point into a block of MessageMemory.
struct Prepared {
  std::string_view key, value;
  std::array<kafka::HeaderView, kHeaders> headers;
};

class Prepares {
 public:
  // Reads the outbox of `connection`.
  absl::Status Load(postgres::Connection& connection, int64_t count) {
    messages_.reserve(static_cast<size_t>(count));
    for (int64_t seq = 0; seq < count; seq += kReadAtOnce) {
      SALDO_ASSIGN_OR_RETURN(postgres::Result result,
                             connection.Query(Call(), kRead, seq, seq + kReadAtOnce));
      using Text = std::string_view;
      SALDO_ASSIGN_OR_RETURN(const auto rows,
                             (std::move(result).As<Text, Text, Text, Text, Text, Text>()));
      for (const auto& [id, key, payload, traceparent, type, time] : rows) {
        messages_.push_back({Keep(key),
                             Keep(payload),
                             {{{"ce_specversion", "1.0"},
                               {"ce_id", Keep(id)},
                               {"ce_source", "/saldo"},
                               {"ce_type", Keep(type)},
                               {"ce_time", Keep(time)},
                               {"content-type", "application/protobuf"},
                               {"traceparent", Keep(traceparent)}}}});
      }
    }
    if (static_cast<int64_t>(messages_.size()) == count) return absl::OkStatus();
    return absl::InternalError(absl::StrCat("the outbox has ", messages_.size(), " messages"));
  }

  const std::vector<Prepared>& messages() const { return messages_; }

 private:
  std::string_view Keep(std::string_view text) {
    constexpr size_t kBlock = size_t{1} << 20;
    if (blocks_.empty() || used_ + text.size() > kBlock) {
      blocks_.push_back(std::make_unique<char[]>(kBlock));
      used_ = 0;
    }
    char* const to = blocks_.back().get() + used_;
    std::memcpy(to, text.data(), text.size());
    used_ += text.size();
    return {to, text.size()};
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  size_t used_ = 0;
  std::vector<Prepared> messages_;
};

class Drain {
 public:
  explicit Drain(const Context& context)
      : context_(context), stack_(context.stack), count_(context.quick ? 100'000 : 1'000'000) {}

  absl::Status Run(Report& report) {
    Say(absl::StrCat("relay: fill an outbox with ", count_, " messages"));
    SALDO_RETURN_IF_ERROR(Fill());
    SALDO_ASSIGN_OR_RETURN(const Pairs pairs,
                           MeasurePairs(
                               context_.quick ? 2 : 3, [this](int i) { return Relay(i); },
                               [this](int i) { return Produce(i); }));
    report.Set("relay_messages_per_s", Median(pairs.a));
    report.Set("producer_messages_per_s", Median(pairs.b));
    report.Set("relay_vs_producer", pairs.MedianRatio(), "pairs " + pairs.Ratios());
    return absl::OkStatus();
  }

 private:
  absl::Status Fill() {
    SALDO_RETURN_IF_ERROR(stack_.CreateDatabase(kFilled));
    {
      SALDO_ASSIGN_OR_RETURN(const auto connection, stack_.Connect(kFilled));
      SALDO_RETURN_IF_ERROR(PrefillSequenced(*connection, kTopic, count_));
    }
    // Rows that were read once are cheaper to read again, so what the relay gets is never read.
    SALDO_RETURN_IF_ERROR(stack_.CreateDatabase("drain_source", kFilled));
    {
      SALDO_ASSIGN_OR_RETURN(const auto source, stack_.Connect("drain_source"));
      SALDO_RETURN_IF_ERROR(prepared_.Load(*source, count_));
    }
    return stack_.postgres().DropDatabase("drain_source");
  }

  // Messages per second from the process's start to the cursor behind the last of them.
  absl::StatusOr<double> Relay(int round) {
    const std::string database = absl::StrCat("drain_", round);
    SALDO_RETURN_IF_ERROR(stack_.CreateDatabase(database, kFilled));
    SALDO_RETURN_IF_ERROR(stack_.CreateTopic(kTopic));
    SALDO_ASSIGN_OR_RETURN(auto connection, stack_.Connect(database));
    CpuTimes before = ServerCpu(stack_);
    const absl::Time begin = absl::Now();
    SALDO_ASSIGN_OR_RETURN(Program relay, stack_.StartProgram("saldo-retranslator", database, {}));
    const auto drained = [&]() -> absl::StatusOr<bool> {
      SALDO_RETURN_IF_ERROR(relay.Check());
      SALDO_ASSIGN_OR_RETURN(postgres::Result result, connection->Query(Call(), kCursor));
      SALDO_ASSIGN_OR_RETURN(const auto row, std::move(result).One<int64_t>());
      return std::get<0>(row) >= count_;
    };
    SALDO_RETURN_IF_ERROR(
        WaitUntil(context_, "the relay drains the outbox", kTimeout, kCursorPoll, drained));
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    CpuTimes after = ServerCpu(stack_);
    AddThreads("relay", relay.child->pid(), &after);
    Tell("relay", seconds, before, after);
    SALDO_RETURN_IF_ERROR(relay.Stop());
    if (round == 0) SALDO_RETURN_IF_ERROR(CompareTopic());
    connection.reset();
    SALDO_RETURN_IF_ERROR(stack_.postgres().DropDatabase(database));
    return static_cast<double>(count_) / seconds;
  }

  // Messages per second from making the producer to the last acknowledgement.
  absl::StatusOr<double> Produce(int /*round*/) {
    SALDO_RETURN_IF_ERROR(stack_.CreateTopic(kTopic));
    kafka::ProducerOptions options = retranslator::RetranslatorConfig().kafka;
    options.connection.brokers = stack_.brokers();
    options.connection.client_id = "saldo-bench";
    const CpuTimes before = ServerCpu(stack_);
    const absl::Time begin = absl::Now();
    int64_t acknowledged = 0;
    absl::Status failure;
    const auto on_report = [&](const kafka::DeliveryReport& report) {
      ++acknowledged;
      if (!report.ok()) failure = report.status();
    };
    SALDO_ASSIGN_OR_RETURN(const auto producer, kafka::Producer::Create(options));
    SALDO_ASSIGN_OR_RETURN(kafka::Topic* const topic, producer->TopicFor(kTopic));
    int64_t sent = 0;
    for (const Prepared& message : prepared_.messages()) {
      if (++sent % kSendsPerPoll == 0) producer->PollReports(absl::ZeroDuration(), on_report);
      SALDO_RETURN_IF_ERROR(Send(*producer, topic, message, on_report));
    }
    SALDO_RETURN_IF_ERROR(producer->Flush(absl::Now() + kTimeout, on_report));
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    SALDO_RETURN_IF_ERROR(failure);
    if (acknowledged != count_) return absl::InternalError("messages without a report");
    Tell("producer", seconds, before, ServerCpu(stack_));
    return static_cast<double>(count_) / seconds;
  }

  static absl::Status Send(kafka::Producer& producer, kafka::Topic* topic, const Prepared& message,
                           kafka::Producer::ReportCallback on_report) {
    const absl::Time deadline = absl::Now() + kTimeout;
    while (true) {
      const kafka::SendResult result = producer.TrySend({.topic = topic,
                                                         .key = message.key,
                                                         .value = message.value,
                                                         .headers = message.headers,
                                                         .copy_value = false});
      if (result.queued()) return absl::OkStatus();
      if (result.outcome == kafka::SendResult::Outcome::kFailed) return result.status();
      if (absl::Now() > deadline) return absl::DeadlineExceededError("Kafka takes no messages");
      producer.PollReports(absl::Milliseconds(20), on_report);
    }
  }

  // The relay's messages are those that the bare producer sends, to the last header.
  absl::Status CompareTopic() {
    kafka::ConsumerOptions options;
    options.connection.brokers = stack_.brokers();
    SALDO_ASSIGN_OR_RETURN(const auto consumer, kafka::Consumer::Create(options));
    SALDO_RETURN_IF_ERROR(consumer->AssignAll(kTopic, kafka::StartFrom::kEarliest, Call()));
    for (int i = 0; i < kCompared; ++i) {
      SALDO_ASSIGN_OR_RETURN(const auto received, consumer->Poll(absl::Seconds(30)));
      if (!received.has_value()) return absl::InternalError("the topic lacks messages");
      SALDO_RETURN_IF_ERROR(Compare(*received));
    }
    return absl::OkStatus();
  }

  absl::Status Compare(const kafka::ReceivedMessage& received) const {
    const std::string* const id = received.FindHeader("ce_id");
    const size_t dash = id == nullptr ? std::string::npos : id->find('-');
    const size_t batch =
        dash == std::string::npos ? 0 : std::strtoull(id->c_str() + dash + 1, nullptr, 10);
    if (batch == 0 || batch > prepared_.messages().size()) {
      return absl::InternalError("a message of the relay has no known ce_id");
    }
    const Prepared& expected = prepared_.messages()[batch - 1];
    const bool same_headers =
        received.headers.size() == kHeaders &&
        std::equal(received.headers.begin(), received.headers.end(), expected.headers.begin(),
                   [](const auto& is, const kafka::HeaderView& wanted) {
                     return is.first == wanted.name && is.second == wanted.value;
                   });
    if (same_headers && received.key == expected.key && received.value == expected.value) {
      return absl::OkStatus();
    }
    return absl::InternalError(
        absl::StrCat("message ", *id, " of the relay differs from what the producer would send"));
  }

  void Tell(const std::string& who, double seconds, const CpuTimes& before,
            const CpuTimes& after) const {
    Say(absl::StrFormat("relay: %s %d messages in %.2f s, %.0f/s", who, count_, seconds,
                        static_cast<double>(count_) / seconds));
    if (context_.verbose) absl::FPrintF(stderr, "%s", CpuTable(before, after, seconds));
  }

  const Context& context_;
  Stack& stack_;
  const int64_t count_;
  Prepares prepared_;
};

}  // namespace

Benchmark RelayDrain() {
  return {.figures = {{"relay_vs_producer", "ratio", AtLeast(0.5)},
                      {"relay_messages_per_s", "1/s"},
                      {"producer_messages_per_s", "1/s"}},
          .run = [](const Context& context, Report& report) { return Drain(context).Run(report); }};
}

}  // namespace saldo::bench
