// Which names Kafka takes for a topic.
#pragma once

#include <string_view>

namespace saldo::outbox {

// 1 to 249 letters, digits, '.', '_' and '-', other than "." and "..".
bool IsTopicName(std::string_view name);

}  // namespace saldo::outbox
