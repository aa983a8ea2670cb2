//! The real server, from outside: as the platform, the archive and the operator see it.

#[cfg(test)]
mod common;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod front_door;
#[cfg(test)]
mod main_job;
#[cfg(test)]
mod people;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod starts;
