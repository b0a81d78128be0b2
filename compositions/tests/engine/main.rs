//! The engine over canned answers: order, parallelism, failure, degradation, races, compensation, limits.

mod compensation;
mod faults;
mod order;
mod stage;
