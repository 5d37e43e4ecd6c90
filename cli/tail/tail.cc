#include "cli/tail/tail.h"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "cli/args.h"
#include "cli/tail/format.h"
#include "common/base/call_context.h"
#include "common/base/status_macros.h"
#include "common/kafka/consumer.h"
#include "common/observability/log.h"
#include "common/runtime/signals.h"

namespace saldo::cli {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(200);
constexpr absl::Duration kMetadataTimeout = absl::Seconds(10);

CommandSpec Spec() {
  return {.usage = "saldo tail [OPTIONS] TOPIC",
          .about =
              "Shows the messages of a Kafka topic as they come, until Ctrl-C. Saldo's own "
              "messages are decoded.\nReads outside any consumer group, so it takes nothing from "
              "anybody.",
          .options = {{"kafka", "HOST:PORT", "the brokers; $SALDO_KAFKA_BROKERS or 127.0.0.1:9092"},
                      {"from-beginning", "", "also those that are there already"},
                      {"count", "N", "end after so many messages"}},
          .operands_min = 1,
          .operands_max = 1};
}

std::string DefaultBrokers() {
  const char* brokers = std::getenv("SALDO_KAFKA_BROKERS");
  return brokers != nullptr && *brokers != '\0' ? brokers : "127.0.0.1:9092";
}

void ShowLog(log::Level least) {
  log::Options options;
  options.level = least;
  options.format = log::Format::kConsole;
  log::Configure(options);
}

// Waits for the topic when there is none yet; all of a topic that came later is new. False when
// the user ended the wait.
absl::StatusOr<bool> Assign(kafka::Consumer& consumer, const std::string& brokers,
                            const std::string& topic, kafka::StartFrom start,
                            runtime::Signals& signals) {
  bool told = false;
  while (true) {
    const absl::Status status =
        consumer.AssignAll(topic, start, CallContext::WithTimeout(kMetadataTimeout));
    if (status.ok()) return true;
    if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) {
      return absl::UnavailableError(
          absl::StrCat("no Kafka answers on ", brokers, ": ", status.message()));
    }
    if (!absl::IsNotFound(status)) return status;
    if (!told) absl::FPrintF(stderr, "there is no topic '%s' yet: waiting for it\n", topic);
    told = true;
    start = kafka::StartFrom::kEarliest;
    if (signals.WaitFor(kPoll).has_value()) return false;
  }
}

}  // namespace

absl::StatusOr<int> RunTail(const std::vector<std::string>& arguments) {
  const CommandSpec spec = Spec();
  SALDO_ASSIGN_OR_RETURN(const Args args, Args::Parse(spec, arguments));
  if (args.help()) {
    absl::PrintF("%s", HelpText(spec));
    return 0;
  }
  SALDO_ASSIGN_OR_RETURN(const int64_t count,
                         args.GetInt("count", std::numeric_limits<int64_t>::max(), 1,
                                     std::numeric_limits<int64_t>::max()));
  // Until it has begun, the error tells what the library's warnings do, and once.
  ShowLog(log::Level::kError);
  runtime::Signals signals;
  kafka::ConsumerOptions options;
  options.connection.brokers = args.Get("kafka", DefaultBrokers());
  options.connection.client_id = "saldo-tail";
  const auto start =
      args.Has("from-beginning") ? kafka::StartFrom::kEarliest : kafka::StartFrom::kLatest;
  SALDO_ASSIGN_OR_RETURN(const std::unique_ptr<kafka::Consumer> consumer,
                         kafka::Consumer::Create(options));
  SALDO_ASSIGN_OR_RETURN(const bool assigned, Assign(*consumer, options.connection.brokers,
                                                     args.operands()[0], start, signals));
  ShowLog(log::Level::kWarning);
  int64_t shown = 0;
  while (assigned && shown < count && !signals.WaitFor(absl::ZeroDuration()).has_value()) {
    SALDO_ASSIGN_OR_RETURN(const std::optional<kafka::ReceivedMessage> message,
                           consumer->Poll(kPoll));
    if (!message.has_value()) continue;
    absl::PrintF("%s", FormatMessage(*message));
    std::fflush(stdout);
    ++shown;
  }
  return 0;
}

}  // namespace saldo::cli
