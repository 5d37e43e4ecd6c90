#include "common/kafka/config.h"

#include "absl/status/status.h"

namespace saldo::kafka {

void Bind(config::Binder& binder, ConnectionOptions& options) {
  binder.String("brokers", &options.brokers, {.min = 1, .max = 4096},
                "Kafka's brokers, as host:port,host:port");
  binder.String("client_id", &options.client_id, {.min = 1, .max = 255},
                "Name of this client in the brokers' logs and quotas");
  binder.Enum("security_protocol", &options.security_protocol,
              {{"plaintext", SecurityProtocol::kPlaintext},
               {"ssl", SecurityProtocol::kSsl},
               {"sasl_plaintext", SecurityProtocol::kSaslPlaintext},
               {"sasl_ssl", SecurityProtocol::kSaslSsl}},
              "How to talk to the brokers");
  binder.Enum("sasl_mechanism", &options.sasl_mechanism,
              {{"plain", SaslMechanism::kPlain},
               {"scram_sha_256", SaslMechanism::kScramSha256},
               {"scram_sha_512", SaslMechanism::kScramSha512}},
              "How to log in, with the SASL protocols");
  binder.String("sasl_username", &options.sasl_username, {.min = 0, .max = 255},
                "User, with the SASL protocols");
  binder.Secret("sasl_password", &options.sasl_password, {.min = 0, .max = 4096},
                "Password, with the SASL protocols");
  binder.String("ca_file", &options.ca_file, {.min = 0, .max = 4096},
                "PEM file of the authorities that sign the brokers' certificates; empty: the "
                "system's");
  binder.Duration("request_timeout", &options.request_timeout,
                  {.min = absl::Milliseconds(100), .max = absl::Minutes(5)},
                  "A request without an answer for so long is sent again on a new connection");
  binder.Duration("reconnect_backoff_max", &options.reconnect_backoff_max,
                  {.min = absl::Milliseconds(10), .max = absl::Minutes(10)},
                  "Longest pause between attempts to connect");
  binder.Check([&options] {
    const bool sasl = options.security_protocol == SecurityProtocol::kSaslPlaintext ||
                      options.security_protocol == SecurityProtocol::kSaslSsl;
    if (sasl && options.sasl_username.empty()) {
      return absl::InvalidArgumentError("sasl_username: needed by the SASL protocols");
    }
    return absl::OkStatus();
  });
}

void Bind(config::Binder& binder, ProducerOptions& options) {
  Bind(binder, options.connection);
  binder.Duration("linger", &options.linger,
                  {.min = absl::ZeroDuration(), .max = absl::Seconds(10)},
                  "How long a message waits for others to share its batch");
  binder.Int("batch_messages_max", &options.batch_messages_max, {.min = 1, .max = 1'000'000},
             "Messages in a batch");
  binder.Bytes("batch_bytes_max", &options.batch_bytes_max, {.min = 1000, .max = 100'000'000},
               "Bytes in a batch; at most the topics' max.message.bytes");
  binder.Bytes("message_bytes_max", &options.message_bytes_max, {.min = 1000, .max = 100'000'000},
               "A larger message is refused");
  binder.Int("queue_messages_max", &options.queue_messages_max, {.min = 1, .max = 10'000'000},
             "Messages that may wait for their acknowledgement");
  binder.Bytes("queue_bytes_max", &options.queue_bytes_max,
               {.min = config::kMiB, .max = 64 * config::kGiB},
               "Bytes of values that may wait for their acknowledgement; keys, headers and "
               "records come on top, about 1 KiB a message");
  binder.Enum("compression", &options.compression,
              {{"none", Compression::kNone},
               {"gzip", Compression::kGzip},
               {"snappy", Compression::kSnappy},
               {"lz4", Compression::kLz4},
               {"zstd", Compression::kZstd}},
              "Compression of batches");
  binder.Duration("message_timeout", &options.message_timeout,
                  {.min = absl::ZeroDuration(), .max = absl::Hours(24)},
                  "A message not delivered for so long fails and may be overtaken; 0s: never");
  binder.Duration("topic_wait", &options.topic_wait,
                  {.min = absl::ZeroDuration(), .max = absl::Hours(1)},
                  "How long messages wait for a topic that does not exist before they fail");
  binder.Duration("metadata_refresh", &options.metadata_refresh,
                  {.min = absl::Seconds(1), .max = absl::Hours(1)},
                  "How often leaders and unknown topics are asked for again");
  binder.Duration("statistics_interval", &options.statistics_interval,
                  {.min = absl::ZeroDuration(), .max = absl::Hours(1)},
                  "How often the producer's figures are renewed; 0s: never");
}

}  // namespace saldo::kafka
