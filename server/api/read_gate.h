// ReadGate: which reads need the replica's grant. Until one was granted all do, since what the log
// has above the flushed state may not be applied again yet. etcd 3.5 serves nobody before its
// member has heard from a leader, however long there is none.
// Owned by the node, for all its sessions; on their thread.
// Never keeps back what says how the member itself is.
#pragma once

#include "server/replica/intent.h"

namespace cairn::server::api {

class ReadGate {
  public:
    [[nodiscard]] bool needs_grant(const Read& read) const;
    [[nodiscard]] bool needs_grant(const SendSnapshot& snapshot) const;
    void on_granted() { open_ = true; }
    [[nodiscard]] bool is_open() const { return open_; }

  private:
    [[nodiscard]] bool keeps_back() const;

    bool open_ = false;
};

}  // namespace cairn::server::api
