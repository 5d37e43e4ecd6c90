// Messages as JSON, with the keys of maps in their order: the same message is the same text.
#pragma once

#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <optional>
#include <string>

namespace saldo::cli {

// Nothing when the message has no JSON, as an Any of a type that this program does not know.
std::optional<std::string> MessageToJson(const google::protobuf::Message& message,
                                         const google::protobuf::util::JsonPrintOptions& options);

}  // namespace saldo::cli
