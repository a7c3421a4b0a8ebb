// Node and its host: a clock that fake timers do not affect, Node's undocumented internals, calls of the program's
// functions, and /proc. Other rooms import these files directly; nothing here is public.
// May import only the leaves lib/names.ts and lib/errors.ts.
export {};
