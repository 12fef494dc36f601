//! The endpoint as others meet it: every behaviour on virtual time, over a network with a seed.

mod calls;
mod dialogs;
mod forks;
mod hostile;
mod offers;
mod outside;
mod random;
mod reliable;
mod sessions;
mod transfers;
mod world;
