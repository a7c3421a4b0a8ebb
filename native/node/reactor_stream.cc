// The reactor's part of streams: a port of a TCP socket, its words, its writes.
#include <cerrno>

#include "kernel/abi.h"
#include "kernel/tcp.h"
#include "node/reactor.h"

namespace msg_zerocopy {
namespace {

// A duplicate is only taken while a quarter of the descriptors is free, so that a server goes on
// accepting.
bool near_descriptor_limit(int fd) {
  return static_cast<uint64_t>(fd) >= descriptor_limit() / 4 * 3;
}

}  // namespace

int Reactor::attach(int fd, StreamEngine engine, bool ours, uint64_t first_id) {
  const int checked = check_tcp(fd);
  if (checked < 0) return checked;
  Fd copy(duplicate(fd));
  if (copy.get() < 0 || near_descriptor_limit(copy.get())) return -EMFILE;
  if (is_blocking(copy.get())) return -EBUSY;
  const bool by_ring = engine == StreamEngine::kIoUring;
  if (!by_ring && !ours) {
    const int before = get_option(copy.get(), SOL_SOCKET, SO_ZEROCOPY);
    if (before < 0) return before;
    if (before != 0) return -EALREADY;
    const int set = set_option(copy.get(), SOL_SOCKET, SO_ZEROCOPY, 1);
    if (set < 0) return set;
    // A sandbox that swallows the call would have every send copied, and never notified.
    if (get_option(copy.get(), SOL_SOCKET, SO_ZEROCOPY) != 1) return -EOPNOTSUPP;
  }
  const bool foreign_entries = !by_ring && has_foreign_entries(copy.get()) > 0;
  const PortKind kind = by_ring ? PortKind::kRingStream : PortKind::kStream;
  const int index = insert(std::move(copy), kind, foreign_entries);
  if (index < 0) return index;
  const auto number = static_cast<uint32_t>(index);
  ports_[number]->set_sender(
      std::make_unique<StreamSender>(engine, &shared_, words_of(number), first_id));
  return index;
}

// Made by JavaScript's own allocator: some runtimes let it see no other memory (Electron).
double* Reactor::words_of(uint32_t index) {
  const uint32_t chunk = index / kPortsPerChunk;
  while (stream_words_.size() <= chunk) {
    stream_words_.push_back(
        Napi::Persistent(Napi::Float64Array::New(env_, kPortsPerChunk * kStreamWords)));
  }
  return stream_words_[chunk].Value().Data() + index % kPortsPerChunk * kStreamWords;
}

Napi::Value Reactor::stream_words(uint32_t chunk) {
  return chunk < stream_words_.size() ? Napi::Value(stream_words_[chunk].Value()) : env_.Undefined();
}

// sendmsg(2), and the error queue.
class Reactor::QueueCarrier final : public StreamCarrier {
 public:
  QueueCarrier(Port* port, int epoll) : port_(port), epoll_(epoll) {}
  SendResult zero_copy(const iovec* pieces, size_t count, int flags) override {
    return port_->send_zero_copy(pieces, count, flags);
  }
  int copy(const iovec* pieces, size_t count, int flags) override {
    return port_->send_copy(pieces, count, flags);
  }
  void reap() override { port_->drain(); }
  int arm() override { return port_->arm(epoll_); }

 private:
  Port* const port_;
  const int epoll_;
};

// Requests of the ring, and its completions.
class Reactor::RingCarrier final : public StreamCarrier {
 public:
  RingCarrier(Port* port, Reactor* reactor) : port_(port), reactor_(reactor) {}
  SendResult zero_copy(const iovec* pieces, size_t count, int flags) override {
    RingSend send = {port_, pieces, count, flags, {}};
    reactor_->ring_->send(&send, 1);
    return send.result;
  }
  int copy(const iovec* pieces, size_t count, int flags) override {
    return port_->send_copy(pieces, count, flags);
  }
  void reap() override {
    reactor_->ring_->read(&reactor_->records_);
    reactor_->announce_records();
  }
  int arm() override { return port_->arm(reactor_->epoll_.get()); }

 private:
  Port* const port_;
  Reactor* const reactor_;
};

int Reactor::write(Port* port, Chunk* chunks, size_t count, uint64_t skip, const WriteRules& rules) {
  StreamSender* sender = port->sender();
  plan_write(chunks, count, sender->limits.most_staged);
  int status;
  if (port->kind() == PortKind::kRingStream) {
    RingCarrier carrier(port, this);
    status = sender->write(&carrier, chunks, count, skip, rules);
    sent_by_ring();
  } else {
    QueueCarrier carrier(port, epoll_.get());
    status = sender->write(&carrier, chunks, count, skip, rules);
  }
  changed(port);
  return status;
}

int Reactor::queue_write(Port* port, Chunk* chunks, size_t count) {
  if (batch_ == nullptr || handles_ == nullptr || port->kind() != PortKind::kRingStream) return -1;
  StreamSender* sender = port->sender();
  plan_write(chunks, count, sender->limits.most_staged);
  RingCarrier carrier(port, this);
  QueuedSend one = {port, 0, {}};
  if (!sender->plan(&carrier, chunks, count, &one.send)) return -1;
  int number = queue_reference(one);
  if (number == SendBatch::kDue) {
    submit_batch();
    number = queue_reference(one);
  }
  if (number < 0) sender->conclude(one.send, {-EAGAIN, false, false});
  return queued(number);
}

// Behind the others, whose places send_queued() gives back: the batch refers to the pieces of its place.
int Reactor::queue_reference(const QueuedSend& one) {
  QueuedSend* const place = &queued_[queued_sends_];
  *place = one;
  const int number = batch_->queue_reference(one.port->fd(), place->send.pieces, place->send.count);
  if (number < 0) return number;
  place->number = static_cast<uint32_t>(number);
  queued_sends_++;
  return number;
}

// What no thread has copied meanwhile goes by one call of the ring.
void Reactor::send_queued() {
  RingSend sends[SendBatch::kRequests];
  size_t count = 0;
  for (size_t i = 0; i < queued_sends_; i++) {
    const QueuedSend& one = queued_[i];
    if (batch_->result(one.number) != SendBatch::kUnanswered) continue;
    sends[count++] = {one.port, one.send.pieces, one.send.count, one.send.flags, {}};
  }
  if (count > 0) ring_->send(sends, count);
  for (size_t i = 0, sent = 0; i < queued_sends_; i++) {
    const QueuedSend& one = queued_[i];
    const int32_t copied = batch_->result(one.number);
    if (copied != SendBatch::kUnanswered) {
      one.port->sender()->conclude_copy(one.send, copied);
      continue;
    }
    const SendResult& result = sends[sent++].result;
    one.port->sender()->conclude(one.send, result);
    batch_->note(one.number, result.result);
    changed(one.port);
  }
  queued_sends_ = 0;
  sent_by_ring();
}

}  // namespace msg_zerocopy
