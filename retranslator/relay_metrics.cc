#include "retranslator/relay_metrics.h"

#include <string>

#include "common/kafka/errors.h"

namespace saldo::retranslator {

RelayMetrics::RelayMetrics(metrics::Registry& r)
    : registry(r),
      active(r.AddGauge("saldo_relay_active",
                        "1 while this process ships the outbox, 0 while it stands by.")),
      processing(r.AddGauge("logistic_package_api_retranslator_events_processing",
                            "Messages that are read and not yet acknowledged by Kafka.")),
      lag_messages(r.AddGauge("saldo_relay_lag_messages",
                              "Messages in the outbox that the cursor has not passed.")),
      lag_batches(r.AddGauge("saldo_relay_lag_batches", "Batches that the cursor has not passed.")),
      oldest_seconds(
          r.AddGauge("saldo_relay_oldest_seconds",
                     "Age of the oldest batch that the cursor has not passed; 0 without one.")),
      sent(r.AddCounter("saldo_relay_messages_sent_total", "Messages that Kafka acknowledged.")),
      dead(r.AddCounter("saldo_relay_messages_dead_total", "Messages that became dead letters.")),
      dead_letters(r.AddGauge("saldo_relay_dead_letters",
                              "Dead letters that wait to be sent anew, counted up to 10000.")),
      restarts(r.AddCounter("saldo_relay_restarts_total",
                            "Times that the relay started over after a failure.")),
      dropped_partitions(r.AddCounter("saldo_relay_partitions_dropped_total",
                                      "Partitions of the outbox dropped behind the cursor.")),
      commit_to_ack_seconds(r.AddHistogram(
          "saldo_relay_commit_to_ack_seconds",
          "From a batch's insertion, just before its commit, to Kafka's acknowledgement.", {},
          {0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075,
           0.1,   0.25,  0.5,   1,     2.5,   5,      10,   30,    60,   300,  1800})) {
  // Those to expect are there before they happen, so that the first one is seen as a change.
  for (const kafka::ErrorCode code :
       {kafka::kErrorMessageTooLarge, kafka::kErrorUnknownTopicOrPartition})
    FailedBy(kafka::ErrorName(code));
}

metrics::Counter& RelayMetrics::FailedBy(std::string_view reason) {
  return registry.AddCounter("saldo_relay_messages_failed_total",
                             "Attempts to send that failed, by the error's name.",
                             {{"reason", std::string(reason)}});
}

}  // namespace saldo::retranslator
