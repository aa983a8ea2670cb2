//! Mail from the queue to a mail server that has its moods.

mod post;
mod round;
mod sending;
mod server;
