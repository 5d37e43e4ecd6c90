#include "server/outbox/topic_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace saldo::outbox {
namespace {

constexpr size_t kLengthMax = 249;

}  // namespace

bool IsTopicName(std::string_view name) {
  return !name.empty() && name.size() <= kLengthMax && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' ||
                  c == '-';
         });
}

}  // namespace saldo::outbox
