//! Gateways in front of an application: a real Envoy and a real nginx with the configuration of `examples/`, the questions
//! that others ask over HTTP, and clients in other languages.

mod asked;
mod clients;
mod cookies;
mod envoy;
mod exchange;
mod facade;
mod json;
mod judged;
mod killed;
mod nginx;
mod place;
mod spoofed;
mod upstream;
mod verified;
mod web;
