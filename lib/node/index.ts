// Node and its host: clocks that fake timers do not reach, the only file that touches what Node does not document,
// calls of the program's functions, and /proc. Other rooms import its files directly: nothing here is public.
// May import only the leaves lib/names.ts and lib/errors.ts.
export {};
