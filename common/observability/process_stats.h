// Figures of this process, from /proc/self. A figure that cannot be read is 0.
#pragma once

namespace saldo::metrics {

struct ProcessStats {
  double cpu_seconds = 0;
  double resident_bytes = 0;
  double virtual_bytes = 0;
  double threads = 0;
  double start_time_seconds = 0;  // since the Unix epoch
};

ProcessStats ReadProcessStats();
double ReadOpenFds();
double ReadMaxFds();

}  // namespace saldo::metrics
