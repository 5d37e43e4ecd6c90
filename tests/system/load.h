// Clients that change packages and remember what they were told.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/random/bit_gen_ref.h"
#include "absl/synchronization/mutex.h"
#include "common/runtime/stop_signal.h"
#include "common/runtime/thread.h"
#include "hablof/logistic_package_api/v1/logistic_package_api.grpc.pb.h"
#include "tests/system/history.h"

namespace saldo::testing {

class Load {
 public:
  // Starts at once. Each client makes one call at a time, on packages of its own.
  Load(const std::string& address, int clients, uint64_t seed);
  ~Load() { Stop(); }

  // Ends the clients and returns what they know.
  History Stop();
  int64_t acknowledged() const { return acknowledged_; }

 private:
  using Api = hablof::logistic_package_api::v1::LogisticPackageApiService;

  void RunClient(int client, uint64_t seed);
  void Create(Api::Stub& stub, absl::BitGenRef random, const std::string& title,
              std::vector<uint64_t>* own);
  void Change(Api::Stub& stub, absl::BitGenRef random, const std::string& title,
              std::vector<uint64_t>* own);
  void Refused(Api::Stub& stub, const std::string& title);
  void Note(uint64_t package_id, testing::Change change);
  std::string TitleOf(uint64_t package_id);

  const std::string address_;
  runtime::StopSignal stop_;
  std::atomic<int64_t> acknowledged_{0};
  absl::Mutex mutex_;
  History history_ ABSL_GUARDED_BY(mutex_);
  std::vector<runtime::Thread> clients_;
};

}  // namespace saldo::testing
