#include "common/runtime/thread.h"

#include <pthread.h>

#include <utility>

#include "common/runtime/thread_shard.h"

namespace saldo::runtime {

Thread::Thread(std::string name, absl::AnyInvocable<void()> body)
    : thread_([name = name.substr(0, 15), shard = std::string(CurrentShard()),
               body = std::move(body)]() mutable {
        pthread_setname_np(pthread_self(), name.c_str());
        const ScopedShard scope(shard);
        body();
      }) {}

}  // namespace saldo::runtime
