// UAPI names that older kernel headers lack, each with the version that added it. No number of the
// kernel's stands anywhere else in this project.
#pragma once

#include <asm/socket.h>
#include <time.h>  // linux/errqueue.h uses struct timespec without declaring it

#include <linux/errqueue.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstddef>

#ifndef SO_ZEROCOPY  // Linux 4.14, include/uapi/asm-generic/socket.h
#define SO_ZEROCOPY 60
#endif
#ifndef SO_MEMINFO  // Linux 4.12, include/uapi/asm-generic/socket.h
#define SO_MEMINFO 55
#endif
#ifndef MSG_ZEROCOPY  // Linux 4.14, include/linux/socket.h
#define MSG_ZEROCOPY 0x4000000
#endif
#ifndef SO_EE_ORIGIN_ZEROCOPY  // Linux 4.14, include/uapi/linux/errqueue.h
#define SO_EE_ORIGIN_ZEROCOPY 5
#endif
#ifndef SO_EE_CODE_ZEROCOPY_COPIED  // Linux 4.14
#define SO_EE_CODE_ZEROCOPY_COPIED 1
#endif

#ifndef TP_STATUS_VLAN_TPID_VALID  // Linux 3.14, include/uapi/linux/if_packet.h
#define TP_STATUS_VLAN_TPID_VALID (1 << 6)
#endif

static_assert(sizeof(sock_extended_err) == 16, "sock_extended_err is a wire format of the kernel's");
static_assert(offsetof(sock_extended_err, ee_origin) == 4, "layout of sock_extended_err");
static_assert(offsetof(sock_extended_err, ee_code) == 6, "layout of sock_extended_err");
static_assert(offsetof(sock_extended_err, ee_info) == 8, "layout of sock_extended_err");
static_assert(offsetof(sock_extended_err, ee_data) == 12, "layout of sock_extended_err");
