// The only room that loads the addon: its binding, the reactor that reads notifications, the io_uring of this
// thread, and addresses as the kernel reads them. The rooms above import its files directly: nothing here is public.
// May import observe, node and policy.
export {};
