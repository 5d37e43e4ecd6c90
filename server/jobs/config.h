// The background jobs' section of the configuration.
#pragma once

#include "common/config/binder.h"
#include "server/jobs/partition_keeper.h"
#include "server/jobs/sequencer.h"

namespace saldo::jobs {

struct JobsConfig {
  bool sequencer_enabled = true;
  SequencerOptions sequencer;
  bool partitions_enabled = true;
  PartitionKeeperOptions partitions;
};

void Bind(config::Binder& binder, JobsConfig& config);

}  // namespace saldo::jobs
