//! What people meet, against real peers: consent at an OAuth server, e-mail at a mail server, pages in a browser.

#[cfg(test)]
mod connect;
#[cfg(test)]
mod drafts;
#[cfg(test)]
mod each_peer;
#[cfg(test)]
mod looks;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod renewal;
#[cfg(test)]
mod site;
#[cfg(test)]
mod visitor;
