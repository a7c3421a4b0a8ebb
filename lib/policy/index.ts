// Decisions as pure functions and classes: numbers and times come in, choices come out. Other rooms import its
// files directly: nothing here is public.
// May import nothing.
export {};
