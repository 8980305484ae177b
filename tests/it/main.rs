//! Everything that is tested from outside: contracts that hold on every backend first, then one file per capability.

#[cfg(test)]
mod access;
#[cfg(test)]
mod account;
#[cfg(test)]
mod admin;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod client;
#[cfg(test)]
mod connect;
#[cfg(test)]
mod contracts;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod deploy;
#[cfg(test)]
mod events;
#[cfg(test)]
mod fault;
#[cfg(test)]
mod gateway;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod import;
#[cfg(test)]
mod life;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod nextcloud;
#[cfg(test)]
mod password;
#[cfg(test)]
mod session;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod upkeep;
#[cfg(test)]
mod webhooks;
