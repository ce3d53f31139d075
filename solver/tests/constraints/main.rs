//! One row a rule: what a small cluster's plan does with a pod, and that `verify` agrees.

mod agreement;
mod machines;
mod rooms;
mod storage;
mod support;
mod topology;
