//! What people and monitors see: the consent pages on the public listener, and the admin listener.
//!
//! The [`Admin`] listener is meant for the inside: whether the process lives, whether it can take callbacks, and its
//! metrics. It asks for no credentials and shows no secrets, no personal data and no bodies. It works from the store's
//! handles alone and never asks a platform or a destination, so that a scrape costs the same whatever is wrong outside.
//!
//! The consent [`Pages`] are open to the whole internet. They know routes, cookies and words, and decide nothing: what may
//! be done for whom is the business of the [`ConsentDesk`](aftersign_core::consent::ConsentDesk) behind them.
#![forbid(unsafe_code)]

mod admin;
pub mod limits;
mod overview;
mod pages;
mod readiness;

pub use admin::Admin;
pub use pages::{BeforeSendUrl, PageAccount, Pages, PagesConfig};
