// The keys by which a binary's configuration sets the options of Kafka clients.
#pragma once

#include "common/config/binder.h"
#include "common/kafka/options.h"
#include "common/kafka/producer.h"

namespace saldo::kafka {

void Bind(config::Binder& binder, ConnectionOptions& options);
// The connection's keys and the producer's own, side by side.
void Bind(config::Binder& binder, ProducerOptions& options);

}  // namespace saldo::kafka
