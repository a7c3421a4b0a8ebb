// Decisions as pure functions and classes: they take numbers and times, and return choices. Other rooms import
// these files directly; nothing here is public.
// May import nothing.
export {};
