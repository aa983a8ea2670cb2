//! What only one platform offers to an operator, against a server that answers as its documentation says.

#[cfg(test)]
mod import;
#[cfg(test)]
mod platform;
#[cfg(test)]
mod register;
#[cfg(test)]
mod site;
