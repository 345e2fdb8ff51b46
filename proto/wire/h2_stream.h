// H2Stream: one call's state inside a session; StreamTable: all of them, with slots used again.
// Owned by one H2Session; not for several threads.
// Must never know nghttp2: this is bookkeeping, the protocol is in h2_session.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "proto/wire/grpc_frame.h"
#include "proto/wire/grpc_status.h"
#include "proto/wire/h2_head.h"
#include "proto/wire/stream_event.h"

namespace cairn::wire {

// Messages that wait to leave, with their prefixes. A payload is shared, not copied, until
// copy_to writes it into the socket's buffer; it is let go when its last byte was.
class SendQueue {
  public:
    void push(Bytes payload);
    // A payload that lives as long as `owner`.
    void push(ByteView payload, std::shared_ptr<const void> owner);
    // Appends the next `count` bytes to `out` and drops them; count <= bytes().
    void copy_to(std::string& out, std::size_t count);
    [[nodiscard]] std::size_t bytes() const { return bytes_; }
    void clear();

  private:
    struct Item {
        GrpcPrefix prefix{};
        ByteView payload;
        Bytes bytes;  // one of these two keeps the payload
        std::shared_ptr<const void> owner;
    };
    void push(Item item);
    void drop_front();

    std::vector<Item> items_;  // a queue from head_ on; compacted when it empties
    std::size_t head_ = 0;
    std::size_t sent_ = 0;   // bytes of items_[head_], prefix included, that are gone
    std::size_t bytes_ = 0;  // Invariant: what is left over all items.
};

struct H2Stream {
    StreamId id = 0;
    H2Stream* next_in_bucket = nullptr;  // StreamTable's

    RequestHead request;    // server
    ResponseHead response;  // client
    std::size_t header_list_bytes = 0;

    GrpcDeframer deframer;
    std::size_t withheld_bytes = 0;  // received while held, not yet credited to the peer
    std::size_t message_bytes =
        0;  // given out of a call that takes one message, see keeps_messages
    std::size_t partial_bytes = 0;  // what this stream has in H2Core's sum of that name
    std::size_t pending_bytes = 0;  // the same
    SendQueue out;
    GrpcStatus end_status;  // server: the trailers to send once `out` is empty

    bool started = false;      // the first event of the stream was given out
    bool finished = false;     // we, or an event, ended the call: no more events
    bool has_message = false;  // one was given out
    bool dead = false;         // whatever still arrives is dropped
    bool remote_closed = false;
    bool headers_sent = false;
    bool ending = false;    // the sending side closes when `out` is empty
    bool deferred = false;  // the library waits for resume
    bool held = false;      // hold_reading
    bool reset_by_us = false;
    bool never_sent = false;  // client: the request did not leave this machine

    // Whether whoever gets the messages of this call keeps them until it is over.
    [[nodiscard]] bool keeps_messages() const;
    // As new, but keeps buffers.
    void recycle();
};

// id -> stream. Ids grow by two, so their low bits spread evenly over the buckets.
class StreamTable {
  public:
    StreamTable();

    [[nodiscard]] H2Stream* find(StreamId id) const;
    // A new stream; `id` must not be in the table.
    H2Stream& open(StreamId id);
    // Forgets it; its slot serves the next one. `id` must be in the table.
    void close(StreamId id);
    [[nodiscard]] std::size_t size() const { return size_; }

  private:
    [[nodiscard]] std::size_t bucket_of(StreamId id) const;
    void grow();

    std::vector<std::unique_ptr<H2Stream>> slots_;  // every stream ever made, used or free
    std::vector<H2Stream*> free_;
    std::vector<H2Stream*> buckets_;  // Invariant: the size is a power of two, >= size_.
    std::size_t size_ = 0;
};

}  // namespace cairn::wire
