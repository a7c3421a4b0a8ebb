// The only room that loads the addon: its binding, the reactor that reads notifications, the io_uring of this
// thread, and socket addresses. The rooms above import these files directly; nothing here is public.
// May import observe, node and policy.
export {};
