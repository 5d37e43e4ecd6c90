// How a client reaches Kafka; shared by the producer, the consumer and the admin client.
#pragma once

#include <string>

#include "absl/time/time.h"

namespace saldo::kafka {

enum class SecurityProtocol { kPlaintext, kSsl, kSaslPlaintext, kSaslSsl };
enum class SaslMechanism { kPlain, kScramSha256, kScramSha512 };

struct ConnectionOptions {
  // "host:port,host:port"; one that answers is enough to find the others.
  std::string brokers = {};
  // Shown in the broker's logs and quotas.
  std::string client_id = "saldo";

  SecurityProtocol security_protocol = SecurityProtocol::kPlaintext;
  // Used by the two SASL protocols.
  SaslMechanism sasl_mechanism = SaslMechanism::kScramSha512;
  std::string sasl_username = {};
  std::string sasl_password = {};
  // PEM file of the authorities that sign the brokers' certificates; empty: the system's.
  std::string ca_file = {};

  // A request without an answer for so long closes the connection, and is sent again. 10 ms..5 min.
  absl::Duration request_timeout = absl::Seconds(30);
  // The longest pause between attempts to connect: how late a broker's return is noticed.
  absl::Duration reconnect_backoff_max = absl::Seconds(2);
};

}  // namespace saldo::kafka
