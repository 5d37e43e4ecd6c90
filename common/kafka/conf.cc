#include "common/kafka/conf.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/kafka/errors.h"
#include "common/observability/log.h"

namespace saldo::kafka {
namespace {

const char* Name(SecurityProtocol protocol) {
  switch (protocol) {
    case SecurityProtocol::kPlaintext:
      return "plaintext";
    case SecurityProtocol::kSsl:
      return "ssl";
    case SecurityProtocol::kSaslPlaintext:
      return "sasl_plaintext";
    case SecurityProtocol::kSaslSsl:
      return "sasl_ssl";
  }
  return "plaintext";
}

const char* Name(SaslMechanism mechanism) {
  switch (mechanism) {
    case SaslMechanism::kPlain:
      return "PLAIN";
    case SaslMechanism::kScramSha256:
      return "SCRAM-SHA-256";
    case SaslMechanism::kScramSha512:
      return "SCRAM-SHA-512";
  }
  return "PLAIN";
}

// syslog's levels: 3 is an error, 4 a warning, 6 information. The library calls a lost connection
// an error although it mends that by itself, so only what it calls worse is one here.
log::Level LevelOf(int syslog_level) {
  if (syslog_level <= 2) return log::Level::kError;
  if (syslog_level <= 4) return log::Level::kWarning;
  if (syslog_level == 5) return log::Level::kInfo;
  return log::Level::kDebug;
}

void WriteLog(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  const log::Level our_level = LevelOf(level);
  if (!log::Enabled(our_level)) return;
  log::Write(our_level, "kafka client",
             {{"client", client != nullptr ? rd_kafka_name(client) : "unknown"},
              {"facility", facility},
              {"detail", text}});
}

}  // namespace

ConfBuilder::ConfBuilder(const ConnectionOptions& connection) : conf_(rd_kafka_conf_new()) {
  rd_kafka_conf_set_log_cb(conf_.get(), &WriteLog);
  if (connection.brokers.empty()) status_ = absl::InvalidArgumentError("kafka: no brokers given");
  Set("bootstrap.servers", connection.brokers);
  Set("client.id", connection.client_id);
  Set("security.protocol", Name(connection.security_protocol));
  const bool sasl = connection.security_protocol == SecurityProtocol::kSaslPlaintext ||
                    connection.security_protocol == SecurityProtocol::kSaslSsl;
  if (sasl) {
    Set("sasl.mechanism", Name(connection.sasl_mechanism));
    Set("sasl.username", connection.sasl_username);
    Set("sasl.password", connection.sasl_password);
  }
  if (!connection.ca_file.empty()) Set("ssl.ca.location", connection.ca_file);
  SetMillis("socket.timeout.ms", connection.request_timeout);
  Set("socket.nagle.disable", true);
  Set("socket.keepalive.enable", true);
  SetMillis("reconnect.backoff.max.ms", connection.reconnect_backoff_max);
  SetMillis("reconnect.backoff.ms",
            std::min(absl::Milliseconds(100), connection.reconnect_backoff_max));
}

void ConfBuilder::Set(const char* name, const std::string& value) {
  if (!status_.ok()) return;
  std::array<char, 512> error{};
  if (rd_kafka_conf_set(conf_.get(), name, value.c_str(), error.data(), error.size()) !=
      RD_KAFKA_CONF_OK) {
    // The library's text repeats the value, which must not show a password.
    status_ = absl::InvalidArgumentError(
        absl::StrCat("kafka: the client does not accept the value of ", name,
                     std::string_view(name) == "sasl.password" ? "" : ": ",
                     std::string_view(name) == "sasl.password" ? "" : error.data()));
  }
}

void ConfBuilder::SetMillis(const char* name, absl::Duration value) {
  Set(name, absl::ToInt64Milliseconds(absl::Ceil(value, absl::Milliseconds(1))));
}

void ConfBuilder::EnableEvents(int events) { rd_kafka_conf_set_events(conf_.get(), events); }

absl::StatusOr<ClientHandle> ConfBuilder::BuildProducer() && { return Build(false); }
absl::StatusOr<ClientHandle> ConfBuilder::BuildConsumer() && { return Build(true); }

absl::StatusOr<ClientHandle> ConfBuilder::Build(bool consumer) {
  if (!status_.ok()) return status_;
  std::array<char, 512> error{};
  ClientHandle client(rd_kafka_new(consumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf_.get(),
                                   error.data(), error.size()));
  if (client == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("kafka: cannot make a client: ", error.data()));
  }
  // The client owns its configuration from here on.
  [[maybe_unused]] rd_kafka_conf_t* taken = conf_.release();
  return client;
}

int WaitMillis(absl::Duration wait) {
  const int64_t millis = absl::ToInt64Milliseconds(absl::Ceil(wait, absl::Milliseconds(1)));
  return static_cast<int>(std::clamp<int64_t>(millis, 0, 24 * 60 * 60 * 1000));
}

}  // namespace saldo::kafka
