//! Stories of nodes that die: one binary, a module a story.

mod actions;
mod arming;
mod evidence;
mod kills;
mod resuming;
