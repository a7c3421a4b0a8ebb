// Since glibc 2.32 this variable says whether a process has a single thread, and the headers of libstdc++ (their
// ext/atomicity.h, of shared_ptr's counter) ask for it wherever they are compiled on such a system. A
// binary for all systems that run Node must do with glibc 2.28: here it is answered inside the addon,
// as what is always right, 'there may be more'. scripts/binary-needs.ts sees to it.
extern "C" {
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
}
