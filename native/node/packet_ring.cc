// Exports for the transmit ring of a packet socket (PACKET_TX_RING).
#include <cerrno>

#include "node/arguments.h"

namespace msg_zerocopy {
namespace {

// openRing(port, frameBytes, frames, blockBytes) -> ArrayBuffer over the ring, or -errno.
// The memory stays mapped while the socket or the ArrayBuffer is alive.
Napi::Value open_ring(const Napi::CallbackInfo& info, const Target& target) {
  const int opened =
      target.port->ring.open(target.port->fd(), {uint_at(info, 1), uint_at(info, 2), uint_at(info, 3)});
  if (opened < 0) return number(info, opened);
  auto* memory = new std::shared_ptr<RingMemory>(target.port->ring.memory());
  napi_value buffer;
  const napi_status status = napi_create_external_arraybuffer(
      info.Env(), (*memory)->base(), (*memory)->bytes(),
      [](napi_env, void*, void* hint) { delete static_cast<std::shared_ptr<RingMemory>*>(hint); },
      memory, &buffer);
  if (status == napi_ok) return Napi::Value(info.Env(), buffer);
  // A runtime that keeps all memory of JavaScript in one region of its own (Electron).
  delete memory;
  return number(info, -EOPNOTSUPP);
}

// ringHand(port, first, lengths, count, name or undefined) -> consecutive slots that the kernel took
Napi::Value hand(const Napi::CallbackInfo& info, const Target& target) {
  const Napi::Uint32Array lengths = info[2].As<Napi::Uint32Array>();
  const Bytes name = info[4].IsUndefined() ? Bytes{nullptr, 0} : bytes_of(info.Env(), info[4]);
  Port* port = target.port;
  return number(info, port->ring.hand(port->fd(), uint_at(info, 1), lengths.Data(), uint_at(info, 3),
                                      name.data, name.size));
}

// ringKicked(port) -> bytes that the kernel took at the last ringHand(), or -errno
Napi::Value kicked(const Napi::CallbackInfo& info, const Target& target) {
  return number(info, target.port->ring.kicked());
}

// ringReleased(port, first, count) -> consecutive slots that the kernel gave back
Napi::Value released(const Napi::CallbackInfo& info, const Target& target) {
  return number(info, target.port->ring.released(uint_at(info, 1), uint_at(info, 2)));
}

// ringIsWrong(port, slot)
Napi::Value is_wrong(const Napi::CallbackInfo& info, const Target& target) {
  return Napi::Boolean::New(info.Env(), target.port->ring.is_wrong(uint_at(info, 1)));
}

// ringRevoke(port, first, count)
Napi::Value revoke(const Napi::CallbackInfo& info, const Target& target) {
  target.port->ring.revoke(uint_at(info, 1), uint_at(info, 2));
  return info.Env().Undefined();
}

}  // namespace

void export_ring(Napi::Env, Napi::Object exports) {
  exports["ringDataOffset"] = static_cast<double>(TxRing::data_offset());
  export_functions(exports, {
      {"openRing", at_port<open_ring>},
      {"ringHand", at_port<hand>},
      {"ringKicked", at_port<kicked>},
      {"ringReleased", at_port<released>},
      {"ringIsWrong", at_port<is_wrong>},
      {"ringRevoke", at_port<revoke>},
  });
}

}  // namespace msg_zerocopy
