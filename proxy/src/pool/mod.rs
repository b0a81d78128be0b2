//! Equal accounts and what decides among them. Pure but for clocks and counters; knows nothing of sockets or Pingora.

pub(crate) mod breaker;
pub(crate) mod budget;
pub(crate) mod deadline;
pub(crate) mod health;
pub(crate) mod picker;
pub(crate) mod probe;
pub(crate) mod settle;

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use isobar_config as config;

use self::{breaker::Breaker, budget::Budget, health::Health};
use crate::{
    admin::metrics::AttemptCounters,
    serve::{capability::AtVendor, client::Client},
};

/// One account, ready to be sent to.
pub(crate) struct Account {
    pub(crate) settings: config::Account,
    /// Its name, as clients are told it.
    pub(crate) label: HeaderValue,
    /// Value of `Host`.
    pub(crate) authority: HeaderValue,
    pub(crate) credential: Credential,
    pub(crate) health: Arc<Health>,
    pub(crate) client: Client,
    /// What makes it an account at a vendor.
    pub(crate) vendor: Option<AtVendor>,
}

/// A credential as it goes on the wire.
pub(crate) enum Credential {
    None,
    Header(http::HeaderName, HeaderValue),
    /// `name=value`, already escaped.
    Query(String),
    /// A signature over the whole request.
    Signature(Box<config::RequestSignature>),
}

/// One account as a member of a pool, for one route.
pub(crate) struct Candidate {
    pub(crate) account: Arc<Account>,
    pub(crate) weight: u32,
    pub(crate) breaker: Arc<Breaker>,
    pub(crate) counters: AttemptCounters,
}

/// A pool as one route uses it.
pub(crate) struct Pool {
    pub(crate) name: String,
    pub(crate) members: Vec<Candidate>,
    pub(crate) policy: config::Policy,
    pub(crate) rules: Vec<(config::Expression, Vec<Candidate>)>,
    pub(crate) retry: config::Retry,
    pub(crate) budget: Arc<Budget>,
    pub(crate) hedge: Option<Duration>,
    pub(crate) outlier: config::Outlier,
}

/// How candidates are ordered; [`config::Policy`] without its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Written,
    Weighted,
    Fastest,
    Cheapest,
    Sticky,
}

impl Pool {
    pub(crate) fn order(&self) -> Order {
        match self.policy {
            config::Policy::Order => Order::Written,
            config::Policy::Weighted => Order::Weighted,
            config::Policy::Fastest => Order::Fastest,
            config::Policy::Cheapest => Order::Cheapest,
            config::Policy::Sticky { .. } => Order::Sticky,
        }
    }
}

impl Account {
    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether the credential sent is ours, not the client's.
    pub(crate) fn has_credential(&self) -> bool {
        !matches!(self.credential, Credential::None)
    }
}
