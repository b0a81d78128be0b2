//! What the gateway's configuration has, as far as compositions may name it.

/// What may be named beside what composition files define.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Pools; `None` where no configuration is at hand.
    pub pools: Option<Vec<KnownPool>>,
    /// Accounts at vendors; `None` where no configuration is at hand.
    pub accounts: Option<Vec<KnownAccount>>,
    /// Routes that are taken: `POST /v1/translate`, or `/files/*` for any method.
    pub routes: Vec<String>,
}

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownPool {
    /// Name.
    pub name: String,
    /// Operations that one of its accounts offers at least.
    pub operations: Vec<String>,
}

/// An account at a vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAccount {
    /// Name.
    pub name: String,
    /// Operations that it offers.
    pub operations: Vec<String>,
}
