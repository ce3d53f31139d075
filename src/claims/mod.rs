//! Claims: a database or a machine, by size, where it is cheapest.
//!
//! A platform team defines kinds of claims (`ClaimDefinition`) and where things come from
//! (`ClaimProvider`); a developer commits a claim. What is decided is decided by pure functions:
//!
//! * [`definition`]: what a definition means, or what is wrong with it
//! * [`lifecycle`]: what happens to a claim next: its status, and one external write
//! * [`crd`]: the CustomResourceDefinition that is made of it
//! * [`claim`]: a claim, read
//! * [`choice`]: which provider serves it, and why no other
//! * [`money`]: prices per month
//! * [`demand`]: the pods that a claim brings to this cluster, and what they cost
//! * [`names`]: what providers know things by
//! * [`schema`], [`files`]: definitions, providers and claims in files
//!
//! and carried out by [`controller`], against the API server and [`providers`].

pub mod choice;
pub mod claim;
pub mod controller;
pub mod crd;
pub mod definition;
pub mod demand;
pub mod files;
pub mod lifecycle;
pub mod money;
pub mod names;
pub mod providers;
pub mod schema;
#[cfg(test)]
pub(crate) mod testing;
