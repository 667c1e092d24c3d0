//! The engine against parts and a tick that do as a test tells them.

mod bench;
mod closing;
mod containment;
mod model;
mod planning;
mod schedules;
mod starting;
mod stopping;
