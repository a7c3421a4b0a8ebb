// Exports for sockets that this package owns: open, name, configure, send and receive in batches.
#include <sys/uio.h>

#include <cerrno>
#include <string>

#include "kernel/abi.h"
#include "kernel/interface.h"
#include "kernel/probe.h"
#include "kernel/tcp.h"
#include "node/arguments.h"

namespace msg_zerocopy {
namespace {

// shareDatagramWords(metadata, arrivals)
Napi::Value share_words(const Napi::CallbackInfo& info) {
  env_of(info)->share_datagram_words(info[0].As<Napi::Uint32Array>(),
                                     info[1].As<Napi::Uint32Array>());
  return info.Env().Undefined();
}

// openDatagram(domain, type, protocol) -> port, or -errno
Napi::Value open_datagram(const Napi::CallbackInfo& info) {
  Reactor* reactor = reactor_of(info);
  if (reactor == nullptr) return info.Env().Undefined();
  Fd fd(socket(int_at(info, 0), int_at(info, 1) | SOCK_CLOEXEC | SOCK_NONBLOCK, int_at(info, 2)));
  return number(info, fd.valid() ? reactor->adopt(std::move(fd)) : -errno);
}

// adoptDatagram(fd) -> port, or -errno. Takes the descriptor over when it is a UDP socket's.
Napi::Value adopt_datagram(const Napi::CallbackInfo& info) {
  Reactor* reactor = reactor_of(info);
  if (reactor == nullptr) return info.Env().Undefined();
  const int fd = int_at(info, 0);
  const int protocol = get_option(fd, SOL_SOCKET, SO_PROTOCOL);
  if (protocol < 0) return number(info, protocol);
  if (protocol != IPPROTO_UDP) return number(info, -EINVAL);
  return number(info, reactor->adopt(Fd(fd)));
}

Napi::Value bind_port(const Napi::CallbackInfo& info, const Target& target) {
  const Bytes name = bytes_of(info.Env(), info[1]);
  return number(info, bind_name(target.port->fd(), name.data, name.size));
}

Napi::Value connect_port(const Napi::CallbackInfo& info, const Target& target) {
  const Bytes name = bytes_of(info.Env(), info[1]);
  return number(info, connect_name(target.port->fd(), name.data, name.size));
}

Napi::Value name_of(const Napi::CallbackInfo& info, const Target& target, int (*ask)(int, void*)) {
  uint8_t name[kNameBytes];
  const int size = ask(target.port->fd(), name);
  if (size < 0) return number(info, size);
  return Napi::Buffer<uint8_t>::Copy(info.Env(), name, static_cast<size_t>(size));
}

Napi::Value local(const Napi::CallbackInfo& info, const Target& target) {
  return name_of(info, target, local_name);
}

Napi::Value peer(const Napi::CallbackInfo& info, const Target& target) {
  return name_of(info, target, peer_name);
}

// setOption(port, level, name, number or bytes) -> 0, or -errno
Napi::Value set_port_option(const Napi::CallbackInfo& info, const Target& target) {
  const int fd = target.port->fd();
  const int level = int_at(info, 1);
  const int name = int_at(info, 2);
  if (info[3].IsNumber()) return number(info, set_option(fd, level, name, int_at(info, 3)));
  const Bytes value = bytes_of(info.Env(), info[3]);
  return number(info, set_option(fd, level, name, value.data, value.size));
}

Napi::Value get_port_option(const Napi::CallbackInfo& info, const Target& target) {
  return number(info, get_option(target.port->fd(), int_at(info, 1), int_at(info, 2)));
}

// attachFilter(port, instructions) -> 0, or -errno
Napi::Value attach(const Napi::CallbackInfo& info, const Target& target) {
  constexpr size_t kInstructionBytes = 8;  // struct sock_filter, include/uapi/linux/filter.h
  const Bytes program = bytes_of(info.Env(), info[1]);
  return number(info, attach_filter(target.port->fd(), program.data, program.size / kInstructionBytes));
}

Napi::Value set_reading(const Napi::CallbackInfo& info, const Target& target) {
  return number(info, target.reactor->set_reading(target.port, info[1].As<Napi::Boolean>().Value()));
}

// Whether the pieces of `datagram` still have the bytes that they had when it was written.
bool gather(const Napi::CallbackInfo& info, size_t first, const DatagramMetadata& datagram, iovec* iov) {
  size_t bytes = 0;
  for (uint32_t i = 0; i < datagram.pieces; i++) {
    const Bytes view = bytes_of(info.Env(), info[first + i]);
    iov[i] = {view.data, view.size};
    bytes += view.size;
  }
  return bytes == datagram.bytes;
}

// sendDatagrams(port, count, flags, ...pieces) -> datagrams sent, or -errno; see ID_TAKEN.
// Describes `count` datagrams by the shared metadata; -EFAULT: a buffer of the first was detached.
// Their pieces are arguments, because reading one costs less than reading an element of an array.
Napi::Value send(const Napi::CallbackInfo& info, const Target& target) {
  const DatagramMetadata* metadata = env_of(info)->metadata();
  iovec iov[kPiecesPerBatch];
  constexpr size_t kFirstPiece = 3;
  size_t used = 0;
  size_t count = 0;
  for (const size_t wanted = std::min<size_t>(uint_at(info, 1), kBatch); count < wanted; count++) {
    const DatagramMetadata& datagram = metadata[count];
    if (used + datagram.pieces > kPiecesPerBatch) break;
    if (!gather(info, kFirstPiece + used, datagram, iov + used)) break;
    used += datagram.pieces;
  }
  if (count == 0) return number(info, -EFAULT);
  const int flags = (uint_at(info, 2) & kSendZeroCopy) != 0 ? MSG_ZEROCOPY : 0;
  return number(info, target.reactor->send_datagrams(target.port, metadata, iov, count, flags));
}

// receive(port, memory) -> datagrams, or -errno. As many as `memory` has slots, at most; described by
// the shared arrivals.
Napi::Value receive(const Napi::CallbackInfo& info, const Target& target) {
  const Bytes memory = bytes_of(info.Env(), info[1]);
  Arrival* arrivals = env_of(info)->arrivals();
  return number(info, receive_datagrams(target.port->fd(), memory.data, memory.size, arrivals));
}

// discardReceived(port) -> whether something waited to be received, or was lost; it is gone
Napi::Value discard(const Napi::CallbackInfo& info, const Target& target) {
  return Napi::Boolean::New(info.Env(), discard_received(target.port->fd()));
}

Napi::Value drops(const Napi::CallbackInfo& info, const Target& target) {
  return number(info, static_cast<double>(receive_drops(target.port->fd())));
}

// findInterface(name or index) -> { index, name, mtu, type, address }, or -errno
Napi::Value find(const Napi::CallbackInfo& info) {
  Interface found;
  const int failed = info[0].IsNumber()
                         ? find_interface(uint_at(info, 0), &found)
                         : find_interface(info[0].As<Napi::String>().Utf8Value().c_str(), &found);
  if (failed < 0) return number(info, failed);
  Napi::Object result = Napi::Object::New(info.Env());
  result["index"] = static_cast<double>(found.index);
  result["name"] = Napi::String::New(info.Env(), found.name);
  result["mtu"] = static_cast<double>(found.mtu);
  result["type"] = static_cast<double>(found.type);
  result["address"] = Napi::Buffer<uint8_t>::Copy(info.Env(), found.address, sizeof found.address);
  return result;
}

// probeOption(domain, type, protocol, level, name) -> { support, errno }
Napi::Value probe(const Napi::CallbackInfo& info) {
  const Probe tried = probe_option(int_at(info, 0), int_at(info, 1), int_at(info, 2),
                                   int_at(info, 3), int_at(info, 4));
  Napi::Object result = Napi::Object::New(info.Env());
  result["support"] = static_cast<double>(tried.support);
  result["errno"] = static_cast<double>(tried.error);
  return result;
}

}  // namespace

void export_datagrams(Napi::Env, Napi::Object exports) {
  export_functions(exports, {
      {"shareDatagramWords", share_words},
      {"openDatagram", open_datagram},
      {"adoptDatagram", adopt_datagram},
      {"bind", at_port<bind_port>},
      {"connect", at_port<connect_port>},
      {"localName", at_port<local>},
      {"peerName", at_port<peer>},
      {"setOption", at_port<set_port_option>},
      {"getOption", at_port<get_port_option>},
      {"attachFilter", at_port<attach>},
      {"setReading", at_port<set_reading>},
      {"sendDatagrams", at_port<send>},
      {"receive", at_port<receive>},
      {"discardReceived", at_port<discard>},
      {"receiveDrops", at_port<drops>},
      {"findInterface", find},
      {"probeOption", probe},
  });
}

}  // namespace msg_zerocopy
