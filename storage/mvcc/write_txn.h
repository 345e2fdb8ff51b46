// The changes of one command: allocates its revision, writes them into the overlay, keeps the
// events. Made by the state machine for each command that may write; state thread only. Never
// undoes anything: a failed command is rolled back by whoever holds the overlay.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/etcd/rpc_kv.pb.h"
#include "storage/mvcc/event.h"
#include "storage/mvcc/overlay.h"
#include "storage/mvcc/range.h"
#include "storage/mvcc/record.h"

namespace cairn::storage::mvcc {

class WriteTxn {
  public:
    // `bounds`: of the store before this command. The overlay is borrowed.
    WriteTxn(Overlay& overlay, ReadBounds bounds) : overlay_(overlay), bounds_(bounds) {}
    WriteTxn(const WriteTxn&) = delete;
    WriteTxn& operator=(const WriteTxn&) = delete;

    // Each appends the fields of its response behind the header to `body`.
    // kLeaseNotFound (no lease exists yet), kKeyNotFound for ignore_* of a missing key,
    // kMessageTooLarge as `bounds` say.
    Result<void> put(const etcdserverpb::PutRequest& request, std::string& body);
    Result<void> delete_range(const etcdserverpb::DeleteRangeRequest& request, std::string& body);

    [[nodiscard]] bool changed() const { return !events_.empty(); }
    // What the command's own operations see: the new revision once anything changed.
    [[nodiscard]] ReadBounds bounds() const {
        ReadBounds now = bounds_;
        now.revision += changed() ? 1 : 0;
        return now;
    }
    [[nodiscard]] const Overlay& reader() const { return overlay_; }
    // Nothing when nothing changed.
    [[nodiscard]] std::shared_ptr<const EventBatch> take_events();

  private:
    // The pair a change takes the place of.
    struct Previous {
        KeyValue kv;   // version 0: there was none
        Revision mod;  // main 0: there was none
        bool in_latest = false;
        bool value_left_out = false;
    };
    Result<Previous> find(const Bytes& key) const;
    void write_put(KeyValue kv, Previous previous);
    void write_tombstone(Previous previous);
    [[nodiscard]] Revision next_revision() const {
        return {bounds_.revision + 1, static_cast<std::uint32_t>(events_.size())};
    }

    // Whether the previous values kept for the events may be as many more.
    [[nodiscard]] bool may_keep() const { return kept_bytes_ <= kKeptBytesMax; }

    // Beyond them, a range of a few bytes that is deleted would take as much memory, on all members
    // at once and again at each start, as the values in it.
    static constexpr std::uint64_t kKeptBytesMax = std::uint64_t{64} << 20U;

    Overlay& overlay_;
    ReadBounds bounds_;
    std::uint64_t kept_bytes_ = 0;
    std::vector<Event> events_;  // bounded by what one request may name, and by the keys there are
};

}  // namespace cairn::storage::mvcc
