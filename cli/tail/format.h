// How `saldo tail` shows a message.
#pragma once

#include <string>

#include "common/kafka/consumer.h"

namespace saldo::cli {

// Where and when, the key, the headers and the value, over several lines that end with a newline.
std::string FormatMessage(const kafka::ReceivedMessage& message);

// The value as one line: a PackageEvent as JSON with its payload unfolded, other text as it is,
// anything else in hex.
std::string FormatValue(const std::string& value);

}  // namespace saldo::cli
