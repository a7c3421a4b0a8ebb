// Has the kernel encrypt what a TCP connection sends, and decrypt what it receives: TLS 1.2 with AES-128-GCM, without a
// handshake (Documentation/networking/tls.rst). Node has no setsockopt.
// Usage: kernel-tls SEND RECEIVE, on a socket as descriptor 3. Each is '-', or 56 hexadecimal digits: a key of 16
// bytes, a salt of 4, and the first explicit nonce, of 8. Sequence numbers begin with 0.
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SOL_TLS  // include/linux/socket.h
#define SOL_TLS 282
#endif

enum { kSocket = 3, kSecretBytes = 28 };

static int fail(const char* what) {
  fprintf(stderr, "kernel-tls: %s: %s\n", what, strerror(errno));
  return 1;
}

static int read_hex(const char* text, unsigned char* bytes) {
  if (strlen(text) != 2 * kSecretBytes) return -1;
  for (int i = 0; i < kSecretBytes; i++) {
    unsigned value;
    if (sscanf(text + 2 * i, "%2x", &value) != 1) return -1;
    bytes[i] = (unsigned char)value;
  }
  return 0;
}

static int set(int option, const char* secret) {
  unsigned char bytes[kSecretBytes];
  errno = EINVAL;
  if (read_hex(secret, bytes) < 0) return -1;
  struct tls12_crypto_info_aes_gcm_128 info = {
      .info = {.version = TLS_1_2_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_128}};
  memcpy(info.key, bytes, sizeof(info.key));
  memcpy(info.salt, bytes + 16, sizeof(info.salt));
  memcpy(info.iv, bytes + 20, sizeof(info.iv));
  return setsockopt(kSocket, SOL_TLS, option, &info, sizeof(info));
}

int main(int count, char** values) {
  if (count != 3) return fail("usage: kernel-tls SEND RECEIVE");
  if (setsockopt(kSocket, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) < 0) return fail("TCP_ULP");
  if (strcmp(values[1], "-") != 0 && set(TLS_TX, values[1]) < 0) return fail("TLS_TX");
  if (strcmp(values[2], "-") != 0 && set(TLS_RX, values[2]) < 0) return fail("TLS_RX");
  return 0;
}
