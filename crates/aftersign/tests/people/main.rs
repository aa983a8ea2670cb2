//! What people meet, against real peers: consent at an OAuth server, e-mail at a mail server, pages in a browser.

#[cfg(test)]
mod each_peer;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod visitor;
