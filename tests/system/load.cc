#include "tests/system/load.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"

namespace saldo::testing {
namespace {

namespace api = hablof::logistic_package_api::v1;

constexpr int kCreated = 0, kUpdated = 1, kRemoved = 2;

std::unique_ptr<grpc::ClientContext> Call() {
  auto context = std::make_unique<grpc::ClientContext>();
  // A call that waits also drives the reconnection; calls that fail at once leave it to a poll
  // every five seconds.
  context->set_wait_for_ready(true);
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  return context;
}

// Only these say for sure that nothing was done.
bool IsRefusal(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::INVALID_ARGUMENT ||
         status.error_code() == grpc::StatusCode::NOT_FOUND ||
         status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED;
}

}  // namespace

Load::Load(const std::string& address, int clients, uint64_t seed) : address_(address) {
  for (int i = 0; i < clients; ++i) {
    clients_.emplace_back(absl::StrCat("client-", i),
                          [this, i, seed] { RunClient(i, seed + static_cast<uint64_t>(i)); });
  }
}

History Load::Stop() {
  stop_.Stop();
  clients_.clear();
  absl::MutexLock lock(&mutex_);
  return history_;
}

void Load::RunClient(int client, uint64_t seed) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto stub = Api::NewStub(
      grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments));
  std::mt19937_64 random(seed);
  std::vector<uint64_t> own;
  for (int n = 0; !stop_.stopped(); ++n) {
    const std::string title = absl::StrCat("c", client, "-", n);
    const int64_t before = acknowledged_;
    const uint64_t dice = random() % 20;
    if (dice == 0) {
      Refused(*stub, title);
    } else if (own.empty() || dice < 8) {
      Create(*stub, random, title, &own);
    } else {
      Change(*stub, random, title, &own);
    }
    // A server that is away answers at once; there is no need to ask it in a tight loop.
    if (acknowledged_ == before) stop_.WaitFor(absl::Milliseconds(10));
  }
}

void Load::Create(Api::Stub& stub, absl::BitGenRef random, const std::string& title,
                  std::vector<uint64_t>* own) {
  api::CreatePackageV1Request request;
  request.set_title(title);
  request.set_material("paper");
  request.set_maximum_volume(1.5F + static_cast<float>(absl::Uniform(random, 0, 100)));
  api::CreatePackageV1Response response;
  const grpc::Status status = stub.CreatePackageV1(Call().get(), request, &response);
  if (status.ok()) {
    ++acknowledged_;
    own->push_back(response.id());
    return Note(response.id(), {kCreated, title, Outcome::kDone});
  }
  absl::MutexLock lock(&mutex_);
  (IsRefusal(status) ? history_.refused : history_.unknown_creates).push_back(title);
}

void Load::Change(Api::Stub& stub, absl::BitGenRef random, const std::string& title,
                  std::vector<uint64_t>* own) {
  const size_t index = absl::Uniform<size_t>(random, 0, own->size());
  const uint64_t id = (*own)[index];
  const bool remove = absl::Bernoulli(random, 0.2);
  grpc::Status status;
  if (remove) {
    api::RemovePackageV1Request request;
    request.set_package_id(id);
    api::RemovePackageV1Response response;
    status = stub.RemovePackageV1(Call().get(), request, &response);
  } else {
    api::UpdatePackageV1Request request;
    request.set_package_id(id);
    request.set_title(title);
    api::UpdatePackageV1Response response;
    status = stub.UpdatePackageV1(Call().get(), request, &response);
  }
  const Outcome outcome = status.ok()         ? Outcome::kDone
                          : IsRefusal(status) ? Outcome::kRefused
                                              : Outcome::kUnknown;
  if (status.ok()) ++acknowledged_;
  // After a removal nothing more can be done with it; after an unknown outcome the next change
  // might overtake this one.
  if (outcome == Outcome::kUnknown || (remove && outcome == Outcome::kDone))
    own->erase(own->begin() + static_cast<ptrdiff_t>(index));
  Note(id, {remove ? kRemoved : kUpdated, remove ? TitleOf(id) : title, outcome});
}

void Load::Refused(Api::Stub& stub, const std::string& title) {
  api::CreatePackageV1Request request;
  request.set_title(title);
  request.set_material("paper");
  request.set_maximum_volume(-1);
  api::CreatePackageV1Response response;
  const grpc::Status status = stub.CreatePackageV1(Call().get(), request, &response);
  absl::MutexLock lock(&mutex_);
  history_.refused.push_back(title);
  // A judge of a server that accepts this must hear of it.
  if (status.ok()) history_.packages[response.id()].push_back({kCreated, title, Outcome::kRefused});
}

void Load::Note(uint64_t package_id, testing::Change change) {
  absl::MutexLock lock(&mutex_);
  history_.packages[package_id].push_back(std::move(change));
}

// Of the last change that was acknowledged.
std::string Load::TitleOf(uint64_t package_id) {
  absl::MutexLock lock(&mutex_);
  const std::vector<testing::Change>& changes = history_.packages[package_id];
  const auto last = std::find_if(changes.rbegin(), changes.rend(), [](const auto& change) {
    return change.outcome == Outcome::kDone;
  });
  return last == changes.rend() ? "" : last->title;
}

}  // namespace saldo::testing
