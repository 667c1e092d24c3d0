//! Stories on a real L1: one binary, a module a story.

mod bad_input;
mod building;
mod closing;
mod committee;
mod deploying;
mod first;
mod hostile;
mod intruding;
mod invalidating;
mod l1;
mod landing;
mod nodes;
mod operating;
mod orphans;
mod pilot;
mod piloting;
mod proving;
mod recovery;
mod resuming;
mod starting;
mod stopping;
mod together;
mod users;
mod voting;
mod warping;
mod withholding;
